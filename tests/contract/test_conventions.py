"""What the contract promises of itself, beyond what buf lints."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

from packtrain.v1 import dataset_service_pb2, server_service_pb2, spec_pb2, training_service_pb2

PROTO = Path(__file__).resolve().parents[2] / "proto"
FILES = (dataset_service_pb2, server_service_pb2, training_service_pb2)
METHODS = [
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
NUMBERS = {
    FieldDescriptorProto.TYPE_DOUBLE,
    FieldDescriptorProto.TYPE_FLOAT,
    FieldDescriptorProto.TYPE_INT32,
    FieldDescriptorProto.TYPE_INT64,
    FieldDescriptorProto.TYPE_UINT64,
}


def messages_of(root: Any, seen: set[str]) -> Iterator[Any]:
    """All messages of ours that are reached from this one."""
    if root.full_name in seen or not root.full_name.startswith("packtrain."):
        return
    seen.add(root.full_name)
    yield root
    for field in root.fields:
        if field.message_type is not None:
            yield from messages_of(field.message_type, seen)


def commented_fields(root: Path) -> Iterator[tuple[str, FieldDescriptorProto, str]]:
    """(message, field, comment) of every top-level message of spec.proto."""
    target = root / "image.binpb"
    options = [f"-I{PROTO}", "--include_source_info", f"--descriptor_set_out={target}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *options, "packtrain/v1/spec.proto"]
    subprocess.run(command, check=True, cwd=PROTO)
    (file,) = FileDescriptorSet.FromString(target.read_bytes()).file
    comments = {tuple(c.path): c.leading_comments for c in file.source_code_info.location}
    for i, message in enumerate(file.message_type):
        assert isinstance(message, DescriptorProto)
        for j, field in enumerate(message.field):
            yield message.name, field, comments.get((4, i, 2, j), "")


def test_a_number_with_a_default_tells_unset_from_zero(tmp_path: Path) -> None:
    with_default = [
        (f"{message}.{field.name}", field)
        for message, field, comment in commented_fields(tmp_path)
        if "Unset:" in comment
        and field.type in NUMBERS
        and field.label != FieldDescriptorProto.LABEL_REPEATED
    ]
    assert len(with_default) > 10
    assert [name for name, field in with_default if not field.proto3_optional] == []


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_a_list_is_paged(method: MethodDescriptor) -> None:
    fields = method.input_type.fields_by_name
    if not method.name.startswith("List"):
        assert "page_token" not in fields
        return
    assert fields["page_size"].type == FieldDescriptor.TYPE_INT32
    assert fields["page_token"].type == FieldDescriptor.TYPE_STRING
    answer = method.output_type.fields
    assert answer[0].is_repeated
    # AIP-158: the token, and where it is known how many there are on all pages.
    assert [f.name for f in answer[1:]] in (["next_page_token"], ["next_page_token", "total_size"])


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_what_changes_something_takes_a_request_id(method: MethodDescriptor) -> None:
    # An upload is content-addressed: sent again, it is the same dataset.
    reads = re.match("Get|List|Watch|Read|Download|Upload", method.name)
    assert ("request_id" in method.input_type.fields_by_name) == (not reads)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_a_resource_is_addressed_by_its_name(method: MethodDescriptor) -> None:
    if not re.match(
        "Get(?!Server)|Cancel|Pause|Resume|Retry|Delete|Watch|Read|Download", method.name
    ):
        return
    first = method.input_type.fields[0]
    assert (first.name, first.number, first.type) == ("name", 1, FieldDescriptor.TYPE_STRING)


def test_a_specification_carries_no_code_and_no_any() -> None:
    reached = list(messages_of(spec_pb2.JobSpec.DESCRIPTOR, set()))
    assert {"Search", "GivenArrays", "RowRange"} <= {message.name for message in reached}
    for field in (f for message in reached for f in message.fields):
        assert field.type != FieldDescriptor.TYPE_BYTES, field.full_name
        if field.message_type is not None:
            assert field.message_type.name not in ("Any", "Struct"), field.full_name
