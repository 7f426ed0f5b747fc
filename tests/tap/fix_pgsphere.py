"""Write a copy of Debian's pg_sphere 1.2.0 script without the two clauses that PostgreSQL rejects.

fix_pgsphere.py FOLDER: the folder of PostgreSQL's extensions.
"""

import re
import sys
from pathlib import Path

folder = Path(sys.argv[1])
sql, n = re.subn(
    r"(CREATE OPERATOR @ \(\s*LEFTARG\s*=\s*(?:bigint|spoint),\s*RIGHTARG\s*=\s*smoc,[^;]*?)\s*"
    r"COMMUTATOR\s*=\s*'@>',\s*NEGATOR\s*=\s*'!<@',",
    r"\1",
    (folder / "pg_sphere--1.2.0.sql").read_text(),
    flags=re.IGNORECASE,
)
if n != 2:
    sys.exit(f"pg_sphere--1.2.0.sql: expected 2 operators to mend, found {n}")
(folder / "pg_sphere--1.2.0.fixed.sql").write_text(sql)
