/** Reads of the comparison: each is a miss, and a wrong byte is seen. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { dealt, randomReads, read } from '../../bench/compare/reading.ts'
import { play } from '../../bench/replay/player.ts'

const KiB = 1024
const imageBytes = 64 * 64 * KiB

t.test('random reads lie in another 64 KiB each, also over several parts', async t => {
  const [first, second] = [randomReads(imageBytes, 7, 0, 24), randomReads(imageBytes, 7, 24, 40)]
  const units = [...first, ...second].map(({ offset }) => Math.floor(offset / (64 * KiB)))
  t.equal(new Set(units).size, 64)
  t.ok([...first, ...second].every(({ offset, length }) => offset % 4096 === 0 && length === 4096))
  t.same(randomReads(imageBytes, 7, 0, 24), first, 'the seed decides')
  t.notSame(randomReads(imageBytes, 8, 0, 24), first)
})

t.test('reads are dealt to lists in turn', async t => {
  t.same(dealt([1, 2, 3, 4, 5], 2), [
    [1, 3, 5],
    [2, 4],
  ])
})

t.test('a player counts wrong bytes, short reads and failed ones', async t => {
  const directory = t.testdir()
  const [imagePath, path] = [join(directory, 'image'), join(directory, 'file')]
  const image = randomBytes(16 * KiB)
  writeFileSync(imagePath, image)
  const reads = [0, 4, 8, 12].map(k => ({ atMs: 0, offset: k * KiB, length: 4 * KiB }))
  const wrongIn = async (bytes: Buffer) => {
    writeFileSync(path, bytes)
    return (await play(reads, { path, imagePath, realTime: false, direct: false })).wrong
  }
  t.equal(await wrongIn(image), 0)
  const damaged = Buffer.from(image)
  damaged[5 * KiB]! ^= 1
  t.equal(await wrongIn(damaged), 1)
  t.equal(await wrongIn(image.subarray(0, 10 * KiB)), 2, 'one short, one empty')
  const beyond = [{ atMs: 0, offset: 14 * KiB, length: 4 * KiB }]
  writeFileSync(path, image)
  t.match(await play(beyond, { path, imagePath, realTime: false, direct: false }), { wrong: 0 }, 'both end there')
  writeFileSync(path, Buffer.concat([image, image]))
  t.match(await play(beyond, { path, imagePath, realTime: false, direct: false }), { wrong: 1 }, 'one goes on')
})

t.test('a reader process reads a file through and says what was wrong', async t => {
  const directory = t.testdir()
  const [imagePath, path] = [join(directory, 'image'), join(directory, 'file')]
  const image = randomBytes(3 * 1024 * KiB)
  writeFileSync(imagePath, image)
  writeFileSync(path, image)
  t.match(await read({ path, imagePath, work: { kind: 'sequential' } }), { wrong: 0, bytes: image.length })
  writeFileSync(path, image.subarray(1))
  t.match(await read({ path, imagePath, work: { kind: 'sequential' } }), { wrong: 4 }, 'three pieces, and the length')
})
