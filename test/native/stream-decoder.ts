/**
 * Decoders of packed files: damaged ones end with an error or with bytes, and never otherwise.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadAddon } from '../../src/native/addon.ts'
import type { FileFormat } from '../../src/native/stream-decoder.ts'
import { randomFrom, sampleBytes } from '../fixtures/images.ts'

const addon = loadAddon()
const plain = sampleBytes({ seed: 8, sizeBytes: 300_000, dataShare: 0.5 }, 0, 300_000)

/** Decode all of it in pieces; null: it is damaged. */
async function decoded(format: FileFormat, packed: Uint8Array, pieceBytes: number): Promise<Buffer | null> {
  const decoder = addon.createStreamDecoder(format)
  const parts: Buffer[] = []
  const output = Buffer.alloc(20_000)
  let isOver = false
  for (let at = 0; ; ) {
    const input = packed.subarray(at, at + pieceBytes)
    const step = await decoder.decode(input, at + input.length === packed.length, output)
    parts.push(Buffer.from(output.subarray(0, step.given)))
    at += step.taken
    isOver = step.isOver
    if (step.isBad) return null
    if (at === packed.length && step.given < output.length) break
    if (step.taken + step.given === 0) break
  }
  decoder.end()
  t.throws(() => decoder.decode(packed, true, output), { message: /ended/ })
  return isOver ? Buffer.concat(parts) : null
}

for (const [format, command] of [
  ['gzip', 'gzip'],
  ['xz', 'xz'],
  ['zstd', 'zstd'],
] as const) {
  const skip = existsSync(`/usr/bin/${command}`) ? false : `${command} is missing`
  t.test(`${format}: whole files, in pieces of any size, and mutants`, { skip }, async t => {
    t.equal(addon.streamDecoderComplaint(format), '')
    const path = join(t.testdir(), 'plain')
    writeFileSync(path, plain)
    const packed = execFileSync(command, ['-c', path])
    for (const pieceBytes of [7_001, 2 ** 20]) t.ok((await decoded(format, packed, pieceBytes))?.equals(plain))
    t.ok((await decoded(format, Buffer.concat([packed, packed]), 4096))?.equals(Buffer.concat([plain, plain])))
    t.equal(await decoded(format, packed.subarray(0, -1), 4096), null)
    t.equal(await decoded(format, Buffer.from('this is no packed file'), 4096), null)
    const seed = 20_261
    const random = randomFrom(seed)
    let refused = 0
    for (let k = 0; k < 150; k++) {
      const mutant = Buffer.from(packed)
      for (let n = 0; n < 3; n++) mutant[Math.floor(random() ** 3 * mutant.length)] = Math.floor(random() * 256)
      const result = await decoded(format, mutant, 50_000)
      if (result === null) refused++
      else t.ok(result.length <= 2 * plain.length, `seed ${seed}, mutant ${k}`)
    }
    t.ok(refused > 130, `${refused} of 150`)
  })
}

t.test('arguments that cannot be are refused', async t => {
  t.throws(() => addon.createStreamDecoder('rar' as FileFormat), RangeError)
  const decoder = addon.createStreamDecoder('gzip')
  const output = new Uint8Array(10)
  t.throws(() => decoder.decode('x' as unknown as Uint8Array, true, output), TypeError)
  const first = decoder.decode(new Uint8Array(0), false, output)
  t.throws(() => decoder.decode(new Uint8Array(0), false, output), { message: /busy/ })
  t.match(await first, { taken: 0, given: 0, isBad: false })
  decoder.end()
  decoder.end()
})
