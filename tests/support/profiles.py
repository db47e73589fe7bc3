# SPDX-License-Identifier: Apache-2.0
"""Profiles for tests that are not about large batches."""
import json
import pathlib


def of_few_batches(profile, folder, most):
    """A copy of a profile with batches of up to `most`: there is less to make ready, or to choose from."""
    content = json.loads(pathlib.Path(profile).read_text())
    content["points"] = [point for point in content["points"] if point["batch"] <= most]
    copy = pathlib.Path(folder, f"few-{pathlib.Path(profile).name}")
    copy.write_text(json.dumps(content))
    return copy
