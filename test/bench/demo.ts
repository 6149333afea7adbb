/** `make run` to its end, and its output. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readRandomly, readThrough } from '../../bench/demo/reading.ts'
import { cannotMount } from '../fixtures/daemon.ts'
import { randomFrom, writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'

t.test('reads are aligned as a disk wants them, at the end of an odd file too', async t => {
  const path = join(t.testdir(), 'a.raw')
  const sizeBytes = 6 * 1024 ** 2 + 1234
  writeSample(path, { seed: 7, sizeBytes })
  const options = { path, sizeBytes, onProgress: () => {}, signal: new AbortController().signal }
  const { sha256, reads, bytes } = await readThrough(options)
  t.same([reads, bytes], [7, sizeBytes])
  t.equal(sha256, createHash('sha256').update(readFileSync(path)).digest('hex'))
  t.match(await readRandomly(options, 50, randomFrom(1)), { reads: 50, bytes: 50 * 4096 })
})

t.test('make run shows the main job, and ends well', { skip: cannotMount, timeout: 120_000 }, async t => {
  const said = (await run(process.execPath, 'build/bench/demo.js')).toString()
  t.match(said, /warm, sequential 1 MiB +193 reads in [\d.]+ s, \d+ requests to the origin/)
  t.match(said, /restarted, sequential 1 MiB +193 reads in [\d.]+ s, \d+ requests to the origin/)
  t.match(said, /SHA-256 of origin and of every pass through the mount: [0-9a-f]{64}\n/)
})
