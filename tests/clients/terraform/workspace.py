"""A folder with the configuration of examples/terraform in it, and Terraform run there."""

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

SAMPLE = Path(__file__).parents[3] / "examples" / "terraform"
CLI_CONFIGURATION = """
disable_checkpoint = true
provider_installation {
  filesystem_mirror {
    path = "%s"
  }
}
"""


class Workspace:
    def __init__(self, folder: Path, name: str):
        self.folder = folder
        shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("*.tfstate*", ".terraform*"))
        configuration = folder / "cli.tfrc"
        configuration.write_text(CLI_CONFIGURATION % Path(os.environ["TERRAFORM_MIRROR"]).resolve())
        self.environment = os.environ | {
            "AUTHENTIK_URL": os.environ["BASE"],
            "AUTHENTIK_TOKEN": os.environ["TOKEN"],
            "TF_CLI_CONFIG_FILE": str(configuration),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
        }
        self.rename(name)
        self("init")

    def rename(self, name: str):
        """What the sample's objects are to be called."""
        self.name = name
        self.environment["TF_VAR_name"] = name

    def __call__(self, command: str, *arguments: str, status: int = 0) -> str:
        """What a command prints, once its exit status is as expected."""
        run = subprocess.run(
            ["terraform", command, "-no-color", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == status, f"terraform {command}: {run.returncode}\n{run.stdout}\n{run.stderr}"
        return run.stdout

    def plan(self) -> dict[str, list[str]]:
        """What Terraform would do, and to which resources."""
        self("plan", "-out=plan")
        changes = json.loads(self("show", "-json", "plan"))["resource_changes"]
        actions = {change["address"]: change["change"]["actions"] for change in changes if change["mode"] == "managed"}
        return {address: what for address, what in actions.items() if what != ["no-op"]}

    def state(self) -> dict[str, dict]:
        """What Terraform knows of its resources, by address."""
        resources = json.loads(self("show", "-json"))["values"]["root_module"]["resources"]
        return {resource["address"]: resource["values"] for resource in resources if resource["mode"] == "managed"}


@contextmanager
def applied(folder: Path, name: str):
    """The sample, applied, and destroyed in the end."""
    workspace = Workspace(folder, name)
    try:
        workspace("apply", "-auto-approve")
        yield workspace
    finally:
        workspace("destroy", "-auto-approve")
