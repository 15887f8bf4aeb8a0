"""A StatefulSet's data outlives its pods and the node's kubelet, and goes with its claim."""

from __future__ import annotations

from harness import Cluster, until

SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ledger}
spec:
  serviceName: ledger
  selector: {matchLabels: {app: ledger}}
  template:
    metadata: {labels: {app: ledger}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: busybox
        command: [sh, -c, "echo started >> $PANAL_ROOT/data/log; exec sleep 1000"]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


def test_data_survives_the_pod_and_the_kubelet_and_goes_with_the_claim(cluster: Cluster) -> None:
    cluster.apply(SET)
    cluster.kubectl("rollout", "status", "statefulset/ledger", "--timeout=60s")
    first = cluster.get("pod", "ledger-0")
    claim = cluster.get("pvc", "data-ledger-0")
    assert claim["status"]["phase"] == "Bound"
    folder = cluster.folder / "volumes" / f"pvc-{claim['metadata']['uid']}"
    until(lambda: (folder / "log").read_text() == "started\n", what="the first line")

    cluster.kill("kubelet", f"nodes/{first['spec']['nodeName']}/")
    cluster.kubectl("delete", "pod", "ledger-0", "--wait=false")
    until(lambda: cluster.get("pod", "ledger-0")["metadata"]["uid"] != first["metadata"]["uid"], what="another pod")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/ledger-0", "--timeout=60s")
    assert cluster.get("pod", "ledger-0")["spec"]["nodeName"] == first["spec"]["nodeName"]
    until(lambda: (folder / "log").read_text() == "started\nstarted\n", what="the second line after the first")

    cluster.kubectl("delete", "pvc", "data-ledger-0", "--wait=false")
    assert cluster.get("pvc", "data-ledger-0")["metadata"]["deletionTimestamp"]
    assert folder.exists()
    cluster.kubectl("delete", "statefulset", "ledger")
    until(lambda: not cluster.get("pv")["items"] and not cluster.get("pvc")["items"], what="claim and volume gone")
    assert not folder.exists()
