// Trains a network on handwritten digits and prints its accuracy, epoch by epoch.
//
//   node train.mjs [HOST:PORT] [PROTO_DIRECTORY]
//
// Nothing but the proto files tells this program what the service is.

import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const address = process.argv[2] ?? '127.0.0.1:50051';
const protos = process.argv[3] ?? fileURLToPath(new URL('../../proto', import.meta.url));

const METRICS = ['training_cost', 'training_accuracy', 'validation_accuracy'];
const SPEC = {
  dataset: {
    name: 'datasets/digits',
    validation_share: 0.2,
    scaling: 'SCALING_MIN_MAX',
  },
  network: { hidden: [30] },
  cost: { cross_entropy: {} },
  optimizer: { sgd: { learning_rate: 0.5 } },
  epochs: 20,
  batch_size: 10,
  seed: 1,
  measurement: { metrics: METRICS },
};

function load() {
  const definition = protoLoader.loadSync('packtrain/v1/training_service.proto', {
    includeDirs: [protos],
    keepCase: true, // names as the proto files have them
    longs: String, // a seed has 64 bits
    enums: String,
    defaults: true,
    oneofs: true, // response.event names the member that is set
  });
  return grpc.loadPackageDefinition(definition).packtrain.v1;
}

// A unary call as a promise, with ten seconds to answer.
function call(stub, method, request) {
  const deadline = new Date(Date.now() + 10_000);
  return new Promise((resolve, reject) => {
    stub[method](request, { deadline }, (error, response) =>
      error ? reject(error) : resolve(response),
    );
  });
}

// The block's values: little-endian float32 in the order (trial, epoch, metric).
function* rows(block) {
  const bytes = new DataView(block.values.buffer, block.values.byteOffset, block.values.length);
  let position = 0;
  for (const trial of block.trials) {
    for (let i = 0; i < block.epoch_count; i += 1) {
      const row = { trial, epoch: block.first_epoch + i };
      for (const metric of block.metrics) {
        row[metric] = bytes.getFloat32(position, true);
        position += 4;
      }
      yield row;
    }
  }
}

// Prints what happens to the job, and returns the state in which it ended. A connection that is
// lost is taken up again after the last message that came.
async function follow(stub, name) {
  let token = '';
  let state = 'JOB_STATE_UNSPECIFIED';
  for (let attempt = 0; ; attempt += 1) {
    try {
      for await (const response of stub.WatchJob({ name, resume_token: token })) {
        token = response.resume_token;
        attempt = 0;
        if (response.event === 'job') state = response.job.state;
        if (response.event !== 'metrics') continue;
        for (const row of rows(response.metrics)) {
          const figures = METRICS.map((metric) => row[metric].toFixed(4).padStart(20));
          console.log(`${String(row.epoch).padStart(5)}${figures.join('')}`);
        }
      }
      return state;
    } catch (error) {
      if (error.code !== grpc.status.UNAVAILABLE || attempt === 5) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
    }
  }
}

async function train(stub) {
  const { job } = await call(stub, 'CreateJob', { spec: SPEC, request_id: randomUUID() });
  console.log(`${job.name}, on ${address}`);
  console.log(`epoch${METRICS.map((metric) => metric.padStart(20)).join('')}`);
  const state = await follow(stub, job.name);
  console.log(state);
  return state === 'JOB_STATE_SUCCEEDED' ? 0 : 1;
}

let stub;
try {
  const { TrainingService } = load();
  stub = new TrainingService(address, grpc.credentials.createInsecure());
  process.exitCode = await train(stub);
} catch (error) {
  const unreachable = error.code === grpc.status.UNAVAILABLE;
  console.error(
    unreachable
      ? `No Packtrain server answers at ${address}: start one with \`packtrain serve\`.`
      : `${grpc.status[error.code] ?? error.name}: ${error.details ?? error.message}`,
  );
  process.exitCode = 1;
} finally {
  stub?.close();
}
