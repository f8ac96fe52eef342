import { Secret } from '@varve/core'
import { createBarStore } from '@varve/storage'
import { createS3Lake } from '@varve/storage/s3'
import { startS3Double } from '@varve/storage/testing'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BenchCase, type BenchOptions, bounded } from '../harness.ts'
import { symbolName } from '../market.ts'
import type { BenchLake } from './lake.ts'

const READS = 20
const BYTES_TARGET = 2 * 1024 * 1024

/** Requests and bytes of one symbol × one year when the lake lies on S3 and the footer of its file is known. */
export async function measureS3(options: BenchOptions, lake: BenchLake): Promise<BenchCase[]> {
  const double = await startS3Double()
  const remote = createS3Lake({
    bucket: double.bucket,
    endpoint: double.endpoint,
    credentials: { accessKeyId: new Secret(double.accessKeyId), secretAccessKey: new Secret('bench') },
  })
  for await (const { path } of lake.lake.list()) {
    await remote.write(path, await readFile(join(lake.lakeDirectory, path)))
  }
  const store = createBarStore({ sql: lake.sql, lake: remote })
  const read = async (symbol: string) => {
    let sum = 0n
    const query = { interval: '1h', symbols: [symbol], from: lake.from, to: lake.to } as const
    for await (const part of store.read(query)) {
      for (let row = 0; row < part.length; row++) sum += part.close[row]!
    }
    return sum
  }
  // The footers of all files, whichever symbol they hold.
  await store.sessionsHeld('1h')
  let most = { requests: 0, bytes: 0 }
  for (let turn = 0; turn < READS; turn++) {
    double.requests.length = 0
    if ((await read(symbolName((turn * 37) % lake.symbols))) === 0n) throw new Error('nothing was read')
    const bytes = double.requests.reduce((total, request) => total + request.bytesOut, 0)
    most = {
      requests: Math.max(most.requests, double.requests.length),
      bytes: Math.max(most.bytes, bytes),
    }
  }
  await remote.close()
  await double.close()
  const name = 'read of one symbol and year from S3, footer known, most of 20 symbols'
  return [
    bounded(options, { case: name, unit: 'requests', ours: most.requests, better: 'lower', target: 1 }),
    bounded(options, { case: name, unit: 'bytes', ours: most.bytes, better: 'lower', target: BYTES_TARGET }),
  ]
}
