/* Images: decoded only when their file is shown, one file at a time. */
let openCase = { index: null, images: null, decoded: new Map() };

function imagesOf(index) {
  if (openCase.index !== index) {
    const block = byId(`case-${index}`);
    openCase = { index, images: block === null ? null : JSON.parse(block.textContent), decoded: new Map() };
  }
  return openCase.images;
}

/* Levels of one image, 0 to 255, row by row. */
async function levelsOf(encoded, width, height) {
  const image = new Image();
  image.src = `data:image/webp;base64,${encoded}`;
  await image.decode();
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const levels = new Uint8ClampedArray(width * height);
  for (let at = 0; at < levels.length; at += 1) levels[at] = pixels[4 * at];
  return levels;
}

function fetchLevels(key, encoded) {
  const { decoded, images } = openCase;
  if (!decoded.has(key)) {
    while (decoded.size > 120) decoded.delete(decoded.keys().next().value);
    decoded.set(key, levelsOf(encoded, images.width, images.height));
  }
  return decoded.get(key);
}

function methodLevels(name, slice) {
  const stack = openCase.images.methods[name];
  return stack ? fetchLevels(`method/${name}/${slice}`, stack[slice]) : null;
}

function targetLevels(slice) {
  const stack = openCase.images.target;
  return stack ? fetchLevels(`target/${slice}`, stack[slice]) : null;
}

function mapLevels(kind, name, slice) {
  const map = openCase.images.maps[kind];
  return map && map.images[name] ? fetchLevels(`${kind}/${name}/${slice}`, map.images[name][slice]) : null;
}

/* What the brightest color stands for, after amplification. */
function mapHigh(kind) { return openCase.images.maps[kind].shown / 2 ** state.gain; }

function grayPixels(levels, width, height) {
  const pixels = new ImageData(width, height);
  for (let at = 0; at < levels.length; at += 1) {
    pixels.data.fill(levels[at], 4 * at, 4 * at + 3);
    pixels.data[4 * at + 3] = 255;
  }
  return pixels;
}

function colorPixels(levels, width, height, full, high) {
  const pixels = new ImageData(width, height);
  for (let at = 0; at < levels.length; at += 1) {
    const color = data.colors[Math.min(255, Math.round((levels[at] * full) / high))];
    pixels.data.set(color, 4 * at);
    pixels.data[4 * at + 3] = 255;
  }
  return pixels;
}

function canvasOf(pixels) {
  const canvas = element("canvas", { width: pixels.width, height: pixels.height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}
