import uuid

import pytest

pytest.register_assert_rewrite("resources", "rest")


@pytest.fixture
def prefix() -> str:
    """What the names of one test's objects begin with."""
    return f"t{uuid.uuid4().hex[:12]}"
