# SPDX-License-Identifier: Apache-2.0
"""Prints what the library and its programs are made of, as SPDX 2.3: spdx.py VERSION NAME=VERSION=LICENCE...

The date is SOURCE_DATE_EPOCH where that is set, so that a build can be repeated."""
import datetime
import json
import os
import sys
import time

version, *parts = sys.argv[1:]
created = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), datetime.timezone.utc)


def package(name, release, licence):
    return {"SPDXID": f"SPDXRef-{name}", "name": name, "versionInfo": release, "licenseDeclared": licence,
            "licenseConcluded": licence, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "copyrightText": "NOASSERTION"}


used = [package(*part.split("=")) for part in parts]
print(json.dumps({
    "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"qosbatch-{version}",
    "documentNamespace": f"https://qosbatch.invalid/spdx/qosbatch-{version}-{created:%Y%m%d%H%M%S}",
    "creationInfo": {"created": f"{created:%Y-%m-%dT%H:%M:%SZ}", "creators": ["Organization: The libqosbatch authors"]},
    "packages": [package("qosbatch", version, "Apache-2.0"), *used],
    "relationships": [
        {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-qosbatch"},
        *({"spdxElementId": "SPDXRef-qosbatch", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": p["SPDXID"]}
          for p in used)]}, indent=1))
