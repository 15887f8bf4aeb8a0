"""storage.k8s.io: classes, drivers and what is attached where."""

from __future__ import annotations

from ..defaults import others as defaults
from ..validation import storage
from .checked import Checked, Checks, Strict


class StorageClassStrategy(Checked):
    table = Checks(fill=defaults.storage_class, new=storage.storage_class, update=storage.storage_class_update)


class AttributesClassStrategy(Checked):
    table = Checks(new=storage.attributes_class, update=storage.attributes_class_update)


class CSIDriverStrategy(Strict):
    has_generation = True
    table = Checks(fill=defaults.csi_driver, new=storage.csi_driver, update=storage.csi_driver_update)


class CSINodeStrategy(Strict):
    table = Checks(check=storage.csi_node, update=storage.csi_node_update)


class VolumeAttachmentStrategy(Strict):
    table = Checks(
        check=storage.volume_attachment,
        update=storage.volume_attachment_update,
        status=lambda new, old: storage.volume_attachment(new),
    )


class StorageCapacityStrategy(Checked):
    table = Checks(new=storage.storage_capacity, update=storage.storage_capacity_update)
