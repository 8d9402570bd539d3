"""`python3 -m unittest discover supply`: what check.py would miss if it were wrong."""

import unittest

from check import permits, refused, satisfies, version

OURS = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"}


class Check(unittest.TestCase):
    def test_licences(self) -> None:
        for fine in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-3.0) AND ISC",
            "ISC AND Apache-2.0 WITH LLVM-exception",
        ]:
            self.assertTrue(permits(fine, OURS), fine)
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND GPL-3.0",
            "MIT AND (GPL-3.0 OR MPL-2.0)",
            "GPL-3.0 WITH LLVM-exception",
            "MIT ISC",
        ]:
            self.assertFalse(permits(bad, OURS), bad)

    def test_requirements(self) -> None:
        for found, requirement in [
            ("1.11.1", ">= 1.11.1"),
            ("0.9.19", "< 0.10.0, >= 0.9.18"),
            ("0.3.30", "^0.3.24"),
            ("0.13.11", "0.13.10"),
            ("1.9.0", "^1.2"),
            ("0.0.3", "^0.0.3"),
            ("1.2.9", "~1.2.3"),
            ("2.0.0", ">1.9"),
            ("0.104.0-alpha.7", ">= 0.104.0-alpha.6"),
            ("1.0.0", ">= 1.0.0-rc.1"),
            ("1.2.3+build", "=1.2.3"),
        ]:
            self.assertTrue(satisfies(found, requirement), f"{found} {requirement}")
        for found, requirement in [
            ("1.11.0", ">= 1.11.1"),
            ("0.10.1", "< 0.10.0, >= 0.9.18"),
            ("0.4.0", "^0.3.24"),
            ("0.14.0", "0.13.10"),
            ("2.0.0", "^1.2"),
            ("0.0.4", "^0.0.3"),
            ("1.3.0", "~1.2.3"),
            ("1.0.0-rc.1", ">= 1.0.0"),
            ("0.104.0-alpha.5", ">= 0.104.0-alpha.6"),
        ]:
            self.assertFalse(satisfies(found, requirement), f"{found} {requirement}")
        self.assertGreater(version("1.10.0"), version("1.9.0"))

    def test_refused_versions(self) -> None:
        rules = {
            "bans": {"deny": [{"name": "zlib-rs", "version": "<0.4.0"}, {"name": "openssl-sys"}]}
        }
        packages = [
            {"name": "zlib-rs", "version": "0.3.1"},
            {"name": "zlib-rs", "version": "0.4.0"},
            {"name": "openssl-sys", "version": "0.9.1"},
        ]
        self.assertEqual(len(refused(packages, rules)), 2)


if __name__ == "__main__":
    unittest.main()
