"""What somebody does in a browser on MenchuPC: install WordPress, log in and publish, read, and read all the time.

    browser.py install | publish TITLE | read URL HOST | load URL FILE

`load` reads until FILE exists, and prints how often which status was answered, as JSON.
"""

from __future__ import annotations

import collections
import http.cookiejar
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

SITE = "http://web1.miempresa.com"
ADMINISTRATOR, PASSWORD = "menchu", "miempresa"
_JAR = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
_BROWSER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _JAR)


def fetch(url: str, data: bytes | None = None, **headers: str) -> str:
    request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    with _BROWSER.open(request, timeout=60) as answer:
        return str(answer.read().decode())


def form(path: str, **fields: str) -> str:
    return fetch(SITE + path, urllib.parse.urlencode(fields).encode())


def install() -> str:
    """The form that WordPress shows when its database is empty."""
    answer = form(
        "/wp-admin/install.php?step=2",
        weblog_title="Mi empresa",
        user_name=ADMINISTRATOR,
        admin_password=PASSWORD,
        admin_password2=PASSWORD,
        pw_weak="on",
        admin_email="menchu@miempresa.com",
        blog_public="0",
        Submit="Install WordPress",
    )
    if "Success!" in answer:
        return "installed"
    if "already installed" in answer.lower() or "Already Installed" in answer:
        return "it was installed already"
    raise SystemExit(f"WordPress was not installed: {answer[:2000]}")


def publish(title: str) -> str:
    """Log in and publish a post; returns its address."""
    fetch(f"{SITE}/wp-login.php")
    form("/wp-login.php", log=ADMINISTRATOR, pwd=PASSWORD, testcookie="1", redirect_to=f"{SITE}/wp-admin/")
    nonce = fetch(f"{SITE}/wp-admin/admin-ajax.php?action=rest-nonce").strip()
    post = {"title": title, "content": f"{title}, from MenchuPC.", "status": "publish"}
    url, body = f"{SITE}/index.php?rest_route=/wp/v2/posts", json.dumps(post).encode()
    return str(json.loads(fetch(url, body, Content_Type="application/json", X_WP_Nonce=nonce))["link"])


def read(url: str, host: str) -> str:
    return fetch(url, Host=host)


def load(url: str, file: str) -> str:
    counted: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    while not os.path.exists(file):
        began = time.monotonic()
        try:
            with _BROWSER.open(url, timeout=20) as answer:
                answer.read()
                counted[str(answer.status)] += 1
        except urllib.error.HTTPError as error:
            counted[str(error.code)] += 1
        except OSError as error:
            counted[str(error)] += 1
        slowest = max(slowest, time.monotonic() - began)
    return json.dumps({"answers": counted, "slowest_seconds": round(slowest, 2)})


if __name__ == "__main__":
    print({"install": install, "publish": publish, "read": read, "load": load}[sys.argv[1]](*sys.argv[2:]))
