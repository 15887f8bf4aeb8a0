"""Kubeconfig files: the user's own is never disturbed."""

from pathlib import Path

import pytest
import yaml

from panal import kubeconfig

OURS = kubeconfig.document(
    "panal", server="https://127.0.0.1:6443", ca=b"CA", certificate=b"CERT", key=b"KEY", user="panal-admin"
)


def test_a_merged_context_is_current_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "config"
    other = kubeconfig.document("work", server="https://work", ca=b"1", certificate=b"2", key=b"3", user="me")
    path.write_text(yaml.safe_dump({**other, "extensions": [{"name": "kept"}]}))
    kubeconfig.merge(path, OURS)
    kubeconfig.merge(path, OURS)
    document = yaml.safe_load(path.read_text())
    assert [entry["name"] for entry in document["contexts"]] == ["work", "panal"]
    assert document["current-context"] == "panal"
    assert document["extensions"] == [{"name": "kept"}]
    assert path.stat().st_mode & 0o777 == 0o600
    kubeconfig.remove(path, {"contexts": "panal", "clusters": "panal", "users": "panal-admin"})
    document = yaml.safe_load(path.read_text())
    assert [entry["name"] for entry in document["users"]] == ["me"]
    assert document["current-context"] == ""


def test_access_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "config"
    kubeconfig.merge(path, OURS)
    found = kubeconfig.access(path)
    assert found == kubeconfig.Access("https://127.0.0.1:6443", b"CA", b"CERT", b"KEY")


def test_removing_what_is_not_there_leaves_the_file_untouched(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("# mine\napiVersion: v1\nkind: Config\n")
    kubeconfig.remove(path, {"contexts": "panal", "clusters": "panal", "users": "panal-admin"})
    assert path.read_text().startswith("# mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "is not a mapping"),
        ("a: [", "neither YAML nor JSON"),
        ("{}", "has no context named ''"),
        ("current-context: x\ncontexts: 5\n", "has no context named 'x'"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_named_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(kubeconfig.KubeconfigError, match=message) as error:
        kubeconfig.access(path)
    assert str(path) in str(error.value)


def test_the_users_file_is_the_one_kubectl_uses(tmp_path: Path) -> None:
    assert kubeconfig.user_kubeconfig({"KUBECONFIG": f":{tmp_path}/a:{tmp_path}/b"}) == tmp_path / "a"
    assert kubeconfig.user_kubeconfig({"HOME": "/home/x"}) == Path("/home/x/.kube/config")


def test_a_link_to_a_kubeconfig_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("{}")
    link = tmp_path / "config"
    link.symlink_to(real)
    kubeconfig.merge(link, OURS)
    assert link.is_symlink()
    assert yaml.safe_load(real.read_text())["current-context"] == "panal"
