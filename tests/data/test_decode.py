"""Every form an image comes in, against the value it must have; and every damage, against its reason."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from ganops.core.errors import ConfigError
from ganops.data.decode import decode, decode_all
from ganops.data.image_decoder import ImageDecoder
from ganops.data.sources.item import ItemError


def flat(mode, value, size=(8, 8)):
    return Image.new(mode, size, value)


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (flat("L", 77), "PNG", [77]),
        (flat("1", 1), "PNG", [255]),
        (flat("LA", (50, 255)), "PNG", [50]),
        (flat("RGB", (1, 2, 3)), "PNG", [1, 2, 3]),
        (flat("RGB", (1, 2, 3)), "BMP", [1, 2, 3]),
        (flat("RGB", (1, 2, 3)), "PPM", [1, 2, 3]),
        (flat("CMYK", (0, 255, 255, 0)), "TIFF", [255, 0, 0]),
        (flat("LAB", (255, 128, 128)), "TIFF", [255, 255, 255]),
        (flat("RGB", (200, 100, 50)).quantize(4), "PNG", [200, 100, 50]),
    ],
)
def test_a_flat_image_keeps_its_colour_in_every_mode(encode, image, kind, expected):
    pixels, _ = decode(encode(image, kind), ImageDecoder(4))
    assert pixels.shape == (len(expected), 4, 4)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - np.reshape(expected, (-1, 1, 1)).astype(int)).max() <= 1  # LAB is rounded


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "JPEG2000", "GIF"])
def test_every_format_is_read(encode, kind):
    pixels, _ = decode(encode(flat("RGB", (200, 100, 50), (16, 16)), kind), ImageDecoder(4))
    assert np.abs(pixels.mean((1, 2)) - [200, 100, 50]).max() < 5


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PGM"])
def test_16_bit_gray_is_scaled_not_clipped(encode, kind):
    values = np.array([[0, 128, 129, 257], [1000, 32768, 65406, 65535]] * 2, np.uint16)
    header = b"P5 4 4 65535\n"
    data = header + values.astype(">u2").tobytes() if kind == "PGM" else encode(values, kind)
    pixels, notes = decode(data, ImageDecoder(4))
    np.testing.assert_array_equal(pixels[0], np.rint(values / 257))
    assert notes == ("16-bit to 8-bit gray",)


@pytest.mark.parametrize("values", [np.float32([[0.5]]), np.int32([[70000]]), np.int32([[-1]])])
def test_32_bit_pixels_are_rejected_for_want_of_a_range(encode, values):
    with pytest.raises(ItemError, match="no known range"):
        decode(encode(values, "TIFF"), ImageDecoder(1))


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (flat("RGBA", (0, 0, 0, 51)), {}),
        (flat("LA", (0, 51)), {}),
        (flat("P", 0), {"transparency": bytes([51])}),
    ],
)
@pytest.mark.parametrize(("background", "expected"), [("white", (204, 204, 204)), ("#ff0000", (204, 0, 0))])
def test_alpha_is_laid_on_the_background(encode, image, options, background, expected):
    if image.mode == "P":
        image.putpalette([0, 0, 0])
    pixels, notes = decode(encode(image, **options), ImageDecoder(4, background=background))
    assert tuple(np.broadcast_to(pixels, (3, 4, 4))[:, 1, 1]) == expected
    assert "transparency laid on the background" in notes


def test_a_transparent_colour_shows_the_background(encode):
    data = encode(flat("RGB", (9, 9, 9)), transparency=(9, 9, 9))
    np.testing.assert_array_equal(decode(data, ImageDecoder(4, background="blue"))[0][:, 0, 0], [0, 0, 255])


def test_gray_with_alpha_stays_gray_unless_the_background_is_coloured(encode):
    data = encode(flat("LA", (0, 51)))
    assert [len(decode(data, ImageDecoder(4, background=name))[0]) for name in ("white", "gray", "red")] == [1, 1, 3]
    assert len(decode(data, ImageDecoder(4, background="red", channels=1))[0]) == 1


def test_luma_is_that_of_itu_r_601(encode, noise):
    image = noise(0, 8, 8)
    pixels, notes = decode(encode(image), ImageDecoder(8, channels=1))
    np.testing.assert_allclose(pixels[0], image @ [0.299, 0.587, 0.114], atol=1)
    assert notes == ("colour to luma",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(encode, orientation):
    upright = np.zeros((8, 8), np.uint8)
    upright[:4, :2] = 255
    undo = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T}
    undo |= {6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, notes = decode(encode(np.ascontiguousarray(undo[orientation]), exif=exif), ImageDecoder(8))
    np.testing.assert_array_equal(pixels[0], upright)
    assert bool(notes) == (orientation > 1)
    with Image.open(io.BytesIO(encode(np.ascontiguousarray(undo[orientation]), exif=exif))) as opened:
        np.testing.assert_array_equal(ImageDecoder(8).decode(opened)[0], pixels)


def profile_of(red, green, blue):
    """An ICC profile (version 2.1) of a display of gamma 2.2, whose primaries are given as XYZ by D50."""

    def xyz(*values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    white = (0.9642, 1.0, 0.8249)
    curve = struct.pack(">4sIIHH", b"curv", 0, 1, round(2.2 * 256), 0)
    tags = {b"desc": struct.pack(">4sII2s78s2x", b"desc", 0, 2, b"x", b""), b"cprt": b"text\0\0\0\0x\0\0\0",
            b"wtpt": xyz(*white), b"rXYZ": xyz(*red), b"gXYZ": xyz(*green), b"bXYZ": xyz(*blue),
            b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}  # fmt: skip
    table, body, first = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, first + len(body), len(content))
        body += content
    size = first + len(body)
    head = (
        struct.pack(">II4s4s4s4s12x4s28x", size, 0, b"\2\x10\0\0", b"mntr", b"RGB ", b"XYZ ", b"acsp") + xyz(*white)[8:]
    )
    return head.ljust(128, b"\0") + table + body


DISPLAY_P3 = profile_of((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "AVIF"])
def test_colours_of_another_profile_become_those_of_srgb(encode, kind):
    given = np.full((8, 8, 3), [200, 60, 40], np.uint8)
    exact = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "AVIF" else {}
    expected = ImageCms.profileToProfile(
        Image.fromarray(given), ImageCms.ImageCmsProfile(io.BytesIO(DISPLAY_P3)), ImageCms.createProfile("sRGB")
    )
    content = encode(Image.fromarray(given), kind, icc_profile=DISPLAY_P3, **exact)
    pixels, notes = decode(content, ImageDecoder(8))
    assert np.abs(pixels.transpose(1, 2, 0).astype(int) - np.asarray(expected)).max() <= (3 if kind == "AVIF" else 0)
    assert notes == ("colour profile to sRGB",)
    with Image.open(io.BytesIO(content)) as opened:
        np.testing.assert_array_equal(ImageDecoder(8).decode(opened)[0], pixels)


@pytest.mark.parametrize("profile", [SRGB, b"no profile", DISPLAY_P3[:200]])
def test_a_profile_of_srgb_or_a_damaged_one_changes_nothing(encode, profile):
    pixels, notes = decode(encode(flat("RGB", (200, 60, 40)), icc_profile=profile), ImageDecoder(4))
    assert (pixels[:, 0, 0].tolist(), notes) == ([200, 60, 40], ())


def test_what_is_clear_stays_so_under_a_colour_profile(encode):
    image = flat("RGBA", (200, 60, 40, 255))
    image.paste((200, 60, 40, 0), (0, 0, 4, 8))
    pixels, notes = decode(encode(image, icc_profile=DISPLAY_P3), ImageDecoder(8, background="#090909"))
    assert (pixels[:, 0, 0].tolist(), len(notes)) == ([9, 9, 9], 2)
    assert pixels[0, 0, 7] > 210


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(encode, kind):
    frames = [flat("RGB", colour, (16, 16)) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    pixels, notes = decode(encode(frames[0], kind, save_all=True, append_images=frames[1:]), ImageDecoder(4))
    assert np.abs(pixels.mean((1, 2)) - [250, 0, 0]).max() < 8
    assert "several frames: the first taken" in notes


def test_crop_takes_the_centre_square():
    image = np.arange(4 * 10, dtype=np.uint8).reshape(4, 10)
    np.testing.assert_array_equal(decode(image, ImageDecoder(4, fit="crop"))[0][0], image[:, 3:7])


def test_pad_of_28_to_32_adds_two_pixels_on_each_side():
    image = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    pixels, _ = decode(image, ImageDecoder(32, fit="pad", background="black"))
    np.testing.assert_array_equal(pixels[0], np.pad(image, 2))


def test_pad_reduces_what_is_larger_and_shows_the_background():
    pixels, _ = decode(np.full((10, 40), 100, np.uint8), ImageDecoder(8, fit="pad"))
    np.testing.assert_array_equal(pixels[0], np.pad(np.full((2, 8), 100), ((3, 3), (0, 0)), constant_values=255))


def test_pad_with_a_coloured_background_makes_gray_coloured():
    pixels, _ = decode(np.full((2, 4), 100, np.uint8), ImageDecoder(4, fit="pad", background="red"))
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 0, 0])
    np.testing.assert_array_equal(pixels[:, 1, 1], [100, 100, 100])


def test_stretch_keeps_every_column():
    image = np.repeat(np.uint8([[10, 90]]), 4, axis=1)
    np.testing.assert_array_equal(decode(image, ImageDecoder(2, fit="stretch", resize="box"))[0][0], [[10, 90]] * 2)


def test_box_is_the_mean_of_what_it_covers():
    image = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    pixels, _ = decode(image, ImageDecoder(4, resize="box"))
    np.testing.assert_allclose(pixels[0], image.reshape(4, 2, 4, 2).mean((1, 3)), atol=1)


def test_reduction_is_antialiased():
    stripes = np.tile(np.uint8([[0, 255]]), (64, 32))
    for name in ("lanczos", "bicubic", "bilinear", "box"):
        assert (
            np.ptp(decode(stripes, ImageDecoder(16, resize=name))[0][..., 2:-2]) <= 3
        )  # the edges have one neighbour less


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_image_is_rejected(encode, noise, kind, share):
    data = encode(noise(0, 64, 64), kind)
    data = data[: int(share * len(data))]
    with pytest.raises(ItemError):
        decode(data, ImageDecoder(8))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(bits, colour, rows, clear):
    """A PNG 4 pixels wide of such a depth and colour type, with the value that is clear."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, len(rows), bits, colour, 0, 0, 0))
    clear = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) if clear else b""
    content = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + clear + content + chunk(b"IEND", b"")


def row(values, depth=">u2"):
    return np.array(values, depth).tobytes()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png_of(8, 0, [row([0, 0, 255, 90], "u1")] * 4, [0]), [9, 9, 255, 90]),
        (png_of(16, 0, [row([0, 1, 65535, 25700])] * 4, [0]), [9, 0, 255, 100]),
        (png_of(16, 4, [row([[0, 0], [0, 65535], [65535, 65535], [25700, 65535]])] * 4, []), [9, 0, 255, 100]),
        (png_of(4, 0, [bytes([0x0F, 0xF5])] * 4, [15]), [0, 9, 9, 85]),
        (png_of(2, 0, [bytes([0b00111110])] * 4, [3]), [0, 9, 9, 170]),
        (png_of(1, 0, [bytes([0b01100000])] * 4, [1]), [0, 9, 9, 0]),
    ],
)
def test_what_is_clear_in_gray_of_any_depth_shows_the_background(content, expected):
    pixels, notes = decode(content, ImageDecoder(4, background="#090909"))
    assert pixels[:, 0].tolist() == [expected]
    assert "transparency laid on the background" in notes


def test_what_is_clear_in_16_bit_colour_shows_the_background():
    rows = [row([[0x1234] * 3, [0] * 3, [0xFFFF] * 3, [0x1234] * 3])] * 4
    pixels, _ = decode(png_of(16, 2, rows, [0x1234] * 3), ImageDecoder(4, background="#090909"))
    assert pixels[:, 0].tolist() == [[9, 0, 255, 9]] * 3


def tiff_of(bits, zero, content, sample_format=1, orientation=1):
    """A TIFF of 4 x 4 gray pixels; `zero`: 0 where it is white."""
    tags = [(256, 4, 4), (257, 4, 4), (258, 3, bits), (259, 3, 1), (262, 3, zero), (273, 4, 0), (274, 3, orientation),
            (277, 3, 1), (278, 4, 4), (279, 4, len(content)), (339, 3, sample_format)]  # fmt: skip
    first = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", first if tag == 273 else value)
        for tag, kind, value in tags
    )
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", 0) + content


TWELVE = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x00])
"""0, 4095, 2048, 0."""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff_of(12, 1, TWELVE * 4), [0, 255, 128, 0]),
        (tiff_of(16, 1, row([0, 65535, 25700, 128], "<u2") * 4), [0, 255, 100, 0]),
        (tiff_of(16, 0, row([0, 65535, 25700, 128], "<u2") * 4), [255, 0, 155, 255]),
        (tiff_of(16, 0, row([0, 65535, 25700, 128], "<u2") * 4, orientation=3), [255, 155, 0, 255]),
        (tiff_of(8, 0, row([0, 255, 100, 1], "u1") * 4), [255, 0, 155, 254]),
    ],
)
def test_tiff_is_read_as_its_tags_say(content, expected):
    assert decode(content, ImageDecoder(4))[0][:, 0].tolist() == [expected]


@pytest.mark.parametrize("largest", [200, 65535, 70000])
def test_unsigned_pixels_of_32_bits_are_refused_whatever_their_values_are(largest):
    with pytest.raises(ItemError, match="32-bit pixels have no known range"):
        decode(tiff_of(32, 1, row([0, 1, 2, largest], "<u4") * 4), ImageDecoder(4))


@pytest.mark.parametrize(("bits", "depth"), [(8, "i1"), (16, "<i2"), (32, "<i4")])
def test_signed_pixels_are_refused(bits, depth):
    with pytest.raises(ItemError, match=r"no known range; expected (unsigned ones of )?8 or 16 bits"):
        decode(tiff_of(bits, 1, row([0, 1, -1, 100], depth) * 4, sample_format=2), ImageDecoder(4))


def png_header(width, height):
    """A PNG that is nothing but a claim about its size."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc + struct.pack(">I", 99) + b"IDAT"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty, 0 bytes"),
        (b"hello, I am a text", "not a readable image: 18 bytes that start with b'hello, I'"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable image"),
        (png_header(10_000, 9_000), "10000 x 9000 pixels: from 1 to 89,478,485 are decoded"),
        (png_header(40_000, 40_000), "at most 89,478,485 pixels"),
    ],
)
def test_the_reason_says_what_is_wrong(data, reason):
    with pytest.raises(ItemError) as caught:
        decode(data, ImageDecoder(8))
    assert reason in str(caught.value)


def test_a_truncated_jpeg_says_where_it_ends(encode, noise):
    with pytest.raises(ItemError, match=r"^truncated after 512 bytes$"):
        decode(encode(noise(0, 64, 64), "JPEG")[:512], ImageDecoder(8))


def test_a_file_that_cannot_be_read_is_rejected_without_its_folder(tmp_path):
    with pytest.raises(ItemError, match=r"^cannot be read: No such file or directory$"):
        decode(tmp_path / "gone.png", ImageDecoder(8))


def test_a_file_past_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ganops.data.sources.item.FILE_LIMIT", 10)
    (tmp_path / "large.png").write_bytes(bytes(11))
    with pytest.raises(ItemError, match="too large: 11 bytes, at most 10"):
        decode(tmp_path / "large.png", ImageDecoder(8))


def test_one_failure_leaves_the_others(encode, noise):
    results = decode_all([encode(noise(0)), b"", encode(noise(1))], ImageDecoder(8))
    assert [isinstance(result, ItemError) for result in results] == [False, True, False]


@pytest.mark.parametrize(
    "wrong",
    [{"background": "no colour"}, {"background": 7}, {"fit": "squeeze"}, {"resize": "nearest"}, {"resolution": 0}],
)
def test_impossible_parameters_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}"):
        ImageDecoder(**{"resolution": 8, **wrong})


def raw_png(width, height, colour, scanlines):
    """A PNG with 8 bits for each sample, as its specification has it; of a palette there is none."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(scanlines, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_palette_image_without_a_palette_is_rejected(fit):
    data = raw_png(40, 40, 3, (b"\0" + bytes(40)) * 40)
    assert len(data) == 78
    with pytest.raises(ItemError, match="damaged: AssertionError"):
        decode(data, ImageDecoder(8, fit=fit))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(80_000_000, 1), (1, 80_000_000), (65_536, 1)])
def test_a_side_is_bounded_before_memory_is_taken(fit, size):
    data = raw_png(*size, 0, b"")
    tracemalloc.start()
    try:
        with pytest.raises(ItemError, match=r"x .* pixels: sides of at most 65,535 are decoded"):
            decode(data, ImageDecoder(8, fit=fit))
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "error", [AssertionError(), MemoryError(), RecursionError("deep"), KeyError(3), UserWarning("w")]
)
def test_whatever_a_decoder_raises_rejects_that_file_alone(encode, noise, monkeypatch, error):
    good, bad = encode(noise(0)), encode(noise(1, 9, 9))
    convert = Image.Image.resize

    def fail(self, *args, **options):
        if self.size == (9, 9):
            raise error
        return convert(self, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", fail)
    first, second = decode_all([bad, good], ImageDecoder(4))
    assert isinstance(first, ItemError)
    assert str(first).startswith("damaged: ")
    assert second[0].shape == (3, 4, 4)


def test_a_failure_does_not_keep_the_bytes_of_its_image():
    results = decode_all([b"no image"], ImageDecoder(4))
    assert results[0].__traceback__ is None
