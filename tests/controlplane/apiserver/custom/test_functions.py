"""Kubernetes' functions of CEL, and the forms that the library lacks: each expression holds."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.apiserver.custom import bindings, functions, rules

HOLD = (
    "ip('::1') == ip('0:0:0:0:0:0:0:1') && ip('10.0.0.1').family() == 4 && ip('fe80::1').isLinkLocalUnicast()",
    "ip('127.0.0.1').isLoopback() && ip('0.0.0.0').isUnspecified() && ip('224.0.0.5').isLinkLocalMulticast()",
    "ip('8.8.8.8').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast() && !ip('ff02::1').isGlobalUnicast()",
    "ip.isCanonical('::1') && !ip.isCanonical('0::1') && !isIP('fe80::1%a')",
    "!isIP('::ffff:1.2.3.4') && !isIP('1.2.3') && isIP('1.2.3.4')",
    "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
    "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
    "cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
    "cidr('10.1.2.3/8').prefixLength() == 8 && isCIDR('::/0') && !isCIDR('10.0.0.1') && !isCIDR('10.0.0.0/255.0.0.0')",
    "sets.contains([1, 2, 3], [3, 1]) && !sets.contains([1], [2]) && sets.intersects([1, 2], [2, 3])",
    "sets.equivalent([1, 1, 2], [2, 1]) && !sets.equivalent([1], [1, 2]) && sets.contains([], [])",
    "semver('1.10.0').isGreaterThan(semver('1.9.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
    "semver('1.0.0-alpha.9').isLessThan(semver('1.0.0-alpha.10')) && semver('1.0.0').compareTo(semver('1.0.0+x')) == 0",
    "semver('v1.2', true).minor() == 2 && semver('1.2.3').major() == 1 && semver('1.2.3').patch() == 3",
    "isSemver('1.2.3-a+b') && !isSemver('1.2') && !isSemver('01.2.3') && isSemver('v01.2', true)",
    "'%s is %.2f, %d%%, %x'.format(['a', 1.5, 7, 255]) == 'a is 1.50, 7%, ff' && '%s'.format([[1, 'b']]) == '[1, b]'",
    "'gums'.reverse() == 'smug' && quantity('1Gi').isGreaterThan(quantity('1000M'))",
    "cel.bind(x, self.a, x + x == 6)",
    "cel.bind(x, ')', cel.bind(y, [x, ','], y.size() == 2 && y[0] == ')'))",
    "self.?a.orValue(0) == 3 && self.?b.orValue(7) == 7 && !self.?b.hasValue() && self.?a.hasValue()",
    "self.?b.c.orValue('x') == 'x' && self.?deep.?down.orValue('') == 'here' && self.deep.?up.orValue([]).size() == 0",
    "self.?b.orValue(self.?c.orValue(1)) == 1 && (has(self.a) ? self.?a.orValue(0) > 2 : false)",
    "self.items.all(i, i.?name.orValue('') != '' && i.?other.orValue(')') == ')')",
    "self.items.all(i, cel.bind(n, i.name, n.startsWith('a')))",
)


@pytest.mark.parametrize("expression", HOLD)
def test_an_expression_holds(expression: str) -> None:
    variables: dict[str, Any] = {"self": {"a": 3, "deep": {"down": "here"}, "items": [{"name": "ab"}, {"name": "ac"}]}}
    program = rules.compiled(expression)
    assert program is not None, "is not evaluated"
    assert program.execute(rules.engine().Context(variables, functions=functions.TABLE)) is True


@pytest.mark.parametrize(
    "text", ["cel.bind(", "cel.bind(x, 1)", "cel.bind(x, '", "a.sets.contains([1])", "cel.bind(x, 1]"]
)
def test_what_cannot_be_read_is_left_to_the_library(text: str) -> None:
    assert bindings.rewritten(text) == text


@pytest.mark.parametrize(
    "expression", ["ip('x')", "cidr('10.0.0.1')", "semver('1')", "'%z'.format([1])", "'%d'.format([])"]
)
def test_what_makes_no_sense_fails(expression: str) -> None:
    with pytest.raises(Exception, match=r"."):
        rules.compiled(expression).execute(rules.engine().Context({}, functions=functions.TABLE))
