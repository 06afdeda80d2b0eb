// Predicts exported images with the expression network of @vladmandic/face-api.
//
//   npm install @vladmandic/face-api @tensorflow/tfjs @tensorflow/tfjs-backend-wasm
//   node face_api.mjs FOLDER OUT.csv
//
// Run it in a folder with these packages in node_modules. FOLDER is what export_images.py wrote. The
// images are cropped faces, so the package's face detectors are not used.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.cwd(), 'x.js'));
const tf = require('@tensorflow/tfjs');
require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');

const CLASSES = ['angry', 'disgusted', 'fearful', 'happy', 'neutral', 'sad', 'surprised'];
const BATCH = 32;

async function main(folder, out) {
  await tf.setBackend('wasm');
  await tf.ready();
  const model = path.join(path.dirname(require.resolve('@vladmandic/face-api/package.json')), 'model');
  await faceapi.nets.faceExpressionNet.loadFromDisk(model);
  const { side, channels, ids } = JSON.parse(fs.readFileSync(path.join(folder, 'images.json')));
  const pixels = fs.readFileSync(path.join(folder, 'images.bin'));
  const size = side * side * channels;
  const lines = [['id', ...CLASSES].join(',')];
  for (let start = 0; start < ids.length; start += BATCH) {
    const part = ids.slice(start, start + BATCH);
    const images = part.map((_, index) => {
      const bytes = pixels.subarray((start + index) * size, (start + index + 1) * size);
      const image = tf.tensor3d(Int32Array.from(bytes), [side, side, channels], 'int32');
      return channels === 3 ? image : tf.tile(image, [1, 1, 3]);
    });
    const predictions = await faceapi.nets.faceExpressionNet.predictExpressions(images);
    predictions.forEach((prediction, index) => {
      lines.push([part[index], ...CLASSES.map((name) => prediction[name])].join(','));
    });
    tf.dispose(images);
    if (start % (BATCH * 20) === 0) console.log(`${start} of ${ids.length}`);
  }
  fs.writeFileSync(out, `${lines.join('\n')}\n`);
}

await main(process.argv[2], process.argv[3]);
