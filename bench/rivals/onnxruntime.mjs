// SPDX-License-Identifier: Apache-2.0
// The rival's side of bench/rivals: onnxruntime.mjs PACKAGE MODEL.onnx INSTANCES THREADS. The same
// commands as rounds.c; each instance is a worker thread with a session of its own.
import { createRequire } from 'node:module';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';

const MOST_BATCH = 32;

async function work({ runtime, model, threads }) {
  const ort = createRequire(import.meta.url)(runtime);
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const [, ...dims] = session.inputMetadata[0].shape;
  const elements = dims.reduce((a, b) => a * b);
  const all = new Float32Array(elements * MOST_BATCH);
  for (let i = 0; i < all.length; i++) all[i] = (Math.imul(i, 2654435761) >>> 22) / 512 - 1;
  parentPort.on('message', async ({ command, batch, seconds, path }) => {
    const tensor = new ort.Tensor('float32', all.subarray(0, elements * batch), [batch, ...dims]);
    const feeds = { [session.inputNames[0]]: tensor };
    let result = await session.run(feeds); // warm: shapes are planned in the first round
    if (command === 'output') {
      const values = result[session.outputNames[0]].data;
      writeFileSync(path, Buffer.from(values.buffer, values.byteOffset, values.byteLength));
      parentPort.postMessage('written');
      return;
    }
    const start = process.hrtime.bigint();
    let elapsed = 0;
    let rounds = 0;
    for (; elapsed < seconds; rounds++) {
      result = await session.run(feeds);
      elapsed = Number(process.hrtime.bigint() - start) / 1e9;
    }
    parentPort.postMessage((rounds * batch) / elapsed);
  });
  parentPort.postMessage('ready');
}

const answer = (worker) => new Promise((resolve) => worker.once('message', resolve));

async function main([runtime, model, instances, threads]) {
  const workers = [];
  for (let i = 0; i < Number(instances); i++) {
    const data = { runtime, model, threads: Number(threads) };
    workers.push(new Worker(fileURLToPath(import.meta.url), { workerData: data }));
    await answer(workers[i]);
  }
  console.log('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, batch, last] = line.split(' ');
    const message = { command, batch: Number(batch), seconds: Number(last), path: last };
    const asked = command === 'run' ? workers : workers.slice(0, 1);
    const answers = asked.map(answer);
    asked.forEach((worker) => worker.postMessage(message));
    const values = await Promise.all(answers);
    console.log(command === 'run' ? values.reduce((a, b) => a + b).toFixed(4) : values[0]);
  }
  process.exit(0);
}

if (isMainThread) await main(process.argv.slice(2));
else await work(workerData);
