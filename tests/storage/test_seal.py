import io
import itertools
import zipfile

import pytest
import torch

from polysemantic.storage.checkpoints import read_checkpoint
from polysemantic.storage.seal import CorruptFileError, SealedWriter, check_seal


def seal(content):
    """An archive with its checksum, written in pieces of several sizes."""
    file = io.BytesIO()
    writer = SealedWriter(file)
    sizes = itertools.cycle([1, 30, 22, 5, 300])
    at = 0
    while at < len(content):
        at += writer.write(content[at : at + next(sizes)])
    writer.seal()
    return file.getvalue()


@pytest.fixture(scope="module")
def sealed():
    """A sealed checkpoint."""
    content = io.BytesIO()
    torch.save({"state_dict": {"W": torch.arange(4.0)}}, content)
    return seal(content.getvalue())


def test_a_sealed_checkpoint_is_still_an_archive_that_torch_reads(sealed):
    check_seal(io.BytesIO(sealed), "file")
    assert zipfile.ZipFile(io.BytesIO(sealed)).testzip() is None
    loaded = torch.load(io.BytesIO(sealed), weights_only=True)
    assert torch.equal(loaded["state_dict"]["W"], torch.arange(4.0))


def test_every_truncation_is_noticed(sealed):
    for length in range(len(sealed)):
        with pytest.raises(CorruptFileError, match="`ckpt_path` must be a whole checkpoint"):
            check_seal(io.BytesIO(sealed[:length]), "file")


def test_a_flipped_bit_is_noticed_wherever_it_is(sealed):
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(CorruptFileError):
            check_seal(io.BytesIO(changed), "file")


def test_something_appended_is_noticed(sealed):
    with pytest.raises(CorruptFileError):
        check_seal(io.BytesIO(sealed + b"x"), "file")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + b"\0" * 17])
def test_only_an_archive_is_sealed(content):
    with pytest.raises(ValueError, match="`archive` must be a zip archive without a comment"):
        seal(content)


def test_what_is_no_checkpoint_is_refused_though_its_seal_is_whole(tmp_path):
    content = io.BytesIO()
    torch.save([1, 2, 3], content)
    (tmp_path / "list.ckpt").write_bytes(seal(content.getvalue()))
    with pytest.raises(CorruptFileError, match="`ckpt_path` must hold a checkpoint, got something else"):
        read_checkpoint(tmp_path / "list.ckpt")
