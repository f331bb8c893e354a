"""A prepared dataset as a source, without TensorFlow."""

import io
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxaudit.data import open_source, resolve_labels
from jaxaudit.errors import InputError

_NUM_EXAMPLES = 7


def _picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (4 + index, 6, 3), dtype=np.uint8)


def _png(index: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_picture(index)).save(buffer, "PNG")
    return buffer.getvalue()


class TinyPictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    FEATURES = {  # noqa: RUF012
        "image": tfds.features.Image(encoding_format="png"),
        "label": tfds.features.ClassLabel(num_classes=3),
    }

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.FEATURES))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(), "test": self._generate_examples()}

    def _generate_examples(self):
        for index in range(_NUM_EXAMPLES):
            values = {
                "image": io.BytesIO(_png(index)),
                "label": index % 3,
                "number": index,
                "text": f"{index} é",
                "captions": [{"id": each, "text": f"{index}.{each}"} for each in range(index)],
            }
            yield index, {name: values[name] for name in self.FEATURES}


class TinyUnlabelled(TinyPictures, skip_registration=True):
    FEATURES = {"image": tfds.features.Image(encoding_format="png")}  # noqa: RUF012


class TinyCaptioned(TinyPictures, skip_registration=True):
    FEATURES = {  # noqa: RUF012
        **TinyUnlabelled.FEATURES,
        "text": tfds.features.Text(),
        "captions": tfds.features.Sequence(
            {"id": tfds.features.Scalar(np.int64), "text": tfds.features.Text()}
        ),
    }


class TinyNumbers(TinyPictures, skip_registration=True):
    FEATURES = {"number": tfds.features.Scalar(np.int64)}  # noqa: RUF012


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    tfds.disable_progress_bar()
    for builder in (TinyPictures, TinyUnlabelled, TinyCaptioned, TinyNumbers):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


def test_pictures_and_labels_come_by_row(data_dir):
    source = open_source(f"tfds:tiny_pictures/train?data_dir={data_dir}")
    assert len(source) == _NUM_EXAMPLES
    assert list(source.ids) == [f"tiny_pictures/1.0.0/train/{row}" for row in range(_NUM_EXAMPLES)]
    assert source.labels is None
    found = {}
    for index in reversed(range(_NUM_EXAMPLES)):
        sample = source.load(index)
        number = sample.image.shape[0] - 4
        np.testing.assert_array_equal(sample.image, _picture(number))
        assert sample.label == number % 3
        found[sample.id] = number
    assert sorted(found.values()) == list(range(_NUM_EXAMPLES))  # stored in an order of its own


@pytest.mark.parametrize(("name", "feature"), [("tiny_pictures", "label"), ("tiny_captioned", "text")])
def test_groups_are_a_feature_of_text_or_integers(data_dir, name, feature):
    source = open_source(f"tfds:{name}/train?data_dir={data_dir}&group={feature}&shuffle=1[:5]")
    for index in range(5):
        sample = source.load(index)
        number = sample.image.shape[0] - 4
        assert sample.group == (str(number % 3) if feature == "label" else f"{number} é")


@pytest.mark.parametrize("feature", ["image", "captions", "nobody"])
def test_features_of_other_kinds_make_no_groups(data_dir, feature):
    with pytest.raises(
        InputError, match=r"a group is a text or an integer|No text or integer of tiny|nobody"
    ):
        open_source(f"tfds:tiny_captioned/train?data_dir={data_dir}&group={feature}")


def test_threads_read_what_one_reads(data_dir):
    source = open_source(f"tfds:tiny_pictures/train?data_dir={data_dir}")
    order = np.random.default_rng(0).integers(0, _NUM_EXAMPLES, 60).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(source.load, order))
    for index, sample in zip(order, found, strict=True):
        assert sample.id == source.ids[index]
        np.testing.assert_array_equal(sample.image, source.load(index).image)


def test_slices_and_shuffles_keep_rows_together(data_dir):
    full = open_source(f"tfds:tiny_pictures/train?data_dir={data_dir}")
    part = open_source(f"tfds:tiny_pictures/train[1:6:2]?data_dir={data_dir}&shuffle=3")
    rows = [full.ids.index(sample_id) for sample_id in part.ids]
    assert len(set(rows)) == 3
    for index, row in enumerate(rows):
        np.testing.assert_array_equal(part.load(index).image, full.load(row).image)
        assert part.load(index).label == full.load(row).label


def test_labels_fit_the_datasets_number_of_classes(data_dir):
    source = open_source(f"tfds:tiny_pictures/test?data_dir={data_dir}")
    assert resolve_labels(source, 3).target_classes == 3
    with pytest.raises(
        InputError, match=r"tells 3 classes apart \(its feature 'label'\), but the target has 1000"
    ):
        resolve_labels(source, 1000)
    assert resolve_labels(source, 0).load(0).label == 0


def test_a_dataset_without_labels_has_none(data_dir):
    source = open_source(f"tfds:tiny_unlabelled/train?data_dir={data_dir}")
    assert source.load(0).label == -1
    with pytest.raises(InputError, match="no label for 7 of its 7 pictures"):
        resolve_labels(source, 3)


def test_captions_are_a_text_or_the_first_of_several(data_dir):
    def captions(feature, rows=range(_NUM_EXAMPLES)):
        source = open_source(f"tfds:tiny_captioned/train?data_dir={data_dir}&caption={feature}")
        assert source.captions is None
        samples = [source.load(row) for row in rows]
        return {sample.image.shape[0] - 4: sample.caption for sample in samples}

    assert captions("text") == {number: f"{number} é" for number in range(_NUM_EXAMPLES)}
    with pytest.raises(InputError, match=r"has no caption for 'tiny_captioned/1.0.0/train/\d'"):
        captions("captions/text")  # number 0 has an empty list
    numbers = list(captions("text"))
    rows = [row for row, number in enumerate(numbers) if number]
    assert captions("captions/text", rows) == {number: f"{number}.0" for number in numbers if number}


def test_without_a_named_feature_there_are_no_captions(data_dir):
    assert open_source(f"tfds:tiny_captioned/train?data_dir={data_dir}").load(0).caption is None


@pytest.mark.parametrize(
    ("dataset", "feature", "message"),
    [
        ("tiny_captioned", "texts", "Unknown text of tiny_captioned 'texts'; did you mean text"),
        ("tiny_captioned", "captions/test", "Unknown text .* 'captions/test'; did you mean captions/text"),
        ("tiny_captioned", "captions", "The feature 'captions' of tiny_captioned is Sequence"),
        ("tiny_captioned", "text/text", "Unknown text of tiny_captioned 'text/text'"),
        ("tiny_captioned", "image", "The feature 'image' of tiny_captioned is Image"),
        ("tiny_pictures", "caption", "Unknown text of tiny_pictures 'caption'; known: image, label"),
    ],
)
def test_captions_must_be_text(data_dir, dataset, feature, message):
    with pytest.raises(InputError, match=message):
        open_source(f"tfds:{dataset}/train?data_dir={data_dir}&caption={feature}")


def test_other_file_formats_are_refused(data_dir, tmp_path):
    shutil.copytree(data_dir / "tiny_pictures", tmp_path / "tiny_pictures")
    info = tmp_path / "tiny_pictures" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(
        InputError, match=r"prepared in .* as tfrecord, which has no random access; prepare it with"
    ):
        open_source(f"tfds:tiny_pictures/train?data_dir={tmp_path}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny_pictures", "names no split; write tfds:tiny_pictures/train"),
        ("tiny_pictures/trian", r"Unknown split of tiny_pictures 'trian'; did you mean train"),
        ("tiny_pictures:9.9.9/train", r"no dataset 'tiny_pictures:9.9.9' in .*download_and_prepare\(\)"),
        (
            "tiny_picture/train",
            r"no dataset 'tiny_picture' in .*; if it knows the name, prepare it with",
        ),
        ("tiny_numbers/train", "has no pictures named 'image'; it has number"),
        ("imagenet2012/train", r"'imagenet2012' is not prepared in .*file_format='array_record'\)"),
    ],
)
def test_errors_say_how_to_prepare(data_dir, name, message):
    with pytest.raises(InputError, match=message):
        open_source(f"tfds:{name}?data_dir={data_dir}")
