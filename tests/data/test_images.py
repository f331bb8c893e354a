"""Every kind of file becomes the RGB pixels that the official pipelines see."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jaxaudit.data import UnusableImageError, decode_image
from jaxaudit.errors import InputError


def _encode(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_rgb_is_returned_as_it_is_from_bytes_and_from_a_path(tmp_path):
    pixels = _noise(5, 7)
    content = _encode(Image.fromarray(pixels), "PNG")
    (tmp_path / "a.png").write_bytes(content)
    for file in (content, tmp_path / "a.png", str(tmp_path / "a.png")):
        decoded = decode_image(file)
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, pixels)


def test_grey_is_repeated_over_the_channels():
    grey = _noise(4, 6)[..., 0]
    np.testing.assert_array_equal(
        decode_image(_encode(Image.fromarray(grey), "PNG")), np.stack([grey] * 3, axis=-1)
    )


def test_one_bit_becomes_black_and_white():
    bits = np.array([[True, False], [False, True]])
    decoded = decode_image(_encode(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(decoded[..., 0], np.where(bits, 255, 0))


@pytest.mark.parametrize(
    ("ink", "rgb"),
    [((0, 0, 0, 0), (255, 255, 255)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))],
)
def test_cmyk_jpeg_mixes_its_inks(ink, rgb):
    decoded = decode_image(_encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100))
    assert decoded.shape == (16, 16, 3)
    assert np.abs(decoded.astype(int) - rgb).max() <= 2


def test_alpha_is_dropped_and_not_blended():
    pixels = _noise(4, 4, 4)
    np.testing.assert_array_equal(decode_image(_encode(Image.fromarray(pixels), "PNG")), pixels[..., :3])
    grey_alpha = Image.merge("LA", [Image.fromarray(pixels[..., 0]), Image.fromarray(pixels[..., 1])])
    np.testing.assert_array_equal(decode_image(_encode(grey_alpha, "PNG"))[..., 2], pixels[..., 0])


def test_sixteen_bits_keep_the_high_byte():
    values = np.array([[0, 255, 256, 0x7FFF, 0x8000, 65535]], np.uint16)
    expected = [0, 0, 1, 0x7F, 0x80, 255]
    for kind in ("PNG", "TIFF"):
        assert decode_image(_encode(Image.fromarray(values), kind))[0, :, 1].tolist() == expected
    pgm = b"P5 6 1 65535\n" + values.astype(">u2").tobytes()
    assert decode_image(pgm)[0, :, 1].tolist() == expected


def test_palette_with_transparency_gives_its_colours():
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    png = _encode(picture, "PNG", transparency=bytes([0, 128]))
    gif = _encode(picture, "GIF", transparency=0)
    for content in (png, gif):
        assert decode_image(content)[0].tolist() == [[10, 20, 30], [200, 100, 50]]


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (3, 3), color) for color in ("#ff0000", "#00ff00")]
    decoded = decode_image(_encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert decoded[0, 0].tolist() == [255, 0, 0]


def test_exif_orientation_is_ignored():
    picture = Image.new("RGB", (20, 10))
    ImageDraw.Draw(picture).rectangle((0, 0, 9, 9), fill="#ffffff")
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees to view"
    decoded = decode_image(_encode(picture, "JPEG", exif=exif))
    assert decoded.shape == (10, 20, 3)
    assert decoded[:, :8].min() > 200
    assert decoded[:, 12:].max() < 50


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_truncated_files_are_refused(kind):
    content = _encode(Image.fromarray(_noise(64, 64)), kind)
    with pytest.raises(UnusableImageError, match=r"it is damaged \("):
        decode_image(content[: len(content) // 2])


@pytest.mark.parametrize("content", [b"", b"some text", b"\xff\xd8"])
def test_other_content_is_refused(content, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnusableImageError, match="it is no picture that Pillow can read"):
        decode_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("raised", [RuntimeError, NotImplementedError])
def test_whatever_a_decoder_raises_is_a_picture_that_cannot_be_used(monkeypatch, raised):
    def decoder(file):
        raise raised("Failed to decode image.")

    monkeypatch.setattr(Image, "open", decoder)
    with pytest.raises(UnusableImageError, match=r"it is damaged \(Failed to decode image\)"):
        decode_image(b"an AVIF or a DDS")


def test_pixels_of_unknown_range_are_refused():
    with pytest.raises(UnusableImageError, match="32-bit pixels have no known range"):
        decode_image(_encode(Image.new("F", (2, 2), 0.5), "TIFF"))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UnusableImageError, match=r"cannot be opened \(No such file"):
        decode_image(tmp_path / "a.jpg")


def test_the_error_is_an_input_error_with_its_parts():
    error = UnusableImageError("too dark", "a/b.jpg")
    assert isinstance(error, InputError)
    assert str(error) == "Picture 'a/b.jpg' cannot be used: too dark."
    assert (error.sample_id, error.reason) == ("a/b.jpg", "too dark")
