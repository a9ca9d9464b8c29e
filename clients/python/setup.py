"""Generates `cbdc.v1` from the gRPC contract when the package is built; nothing generated is in the repository."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONTRACT = Path(__file__).resolve().parents[2] / "proto"
FILES = ["types", "bank"]


class GenerateAndBuild(build_py):
    """`build_py` that compiles the contract beside the modules that were written by hand."""

    def run(self) -> None:
        super().run()
        from grpc_tools import protoc

        if not CONTRACT.is_dir():
            raise SystemExit(f"expected the contract in {CONTRACT}, found no folder: build within the repository")
        target = Path(self.build_lib)
        files = [str(CONTRACT / "cbdc" / "v1" / f"{name}.proto") for name in FILES]
        outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main(["protoc", f"--proto_path={CONTRACT}", *outputs, *files]) != 0:
            raise SystemExit("the contract does not compile")
        (target / "cbdc" / "v1" / "__init__.py").touch()


setup(cmdclass={"build_py": GenerateAndBuild})
