/** Profile files: what is written is read back, and nothing hostile gets through. */
import t from 'tap'
import { isCacheError } from '../../../src/base/errors.ts'
import { identify } from '../../../src/base/image.ts'
import { profileBytesMax, profileRunsMax } from '../../../src/cache/fetch/limits.ts'
import { profileFileBytesMax, profileValidatorCharsMax } from '../../../src/cache/prefetch/limits.ts'
import {
  formatProfileFile,
  parseProfileFile,
  profileFileOf,
  rangesWithin,
  trustIn,
} from '../../../src/cache/prefetch/profile-file.ts'
import { seed, seeded } from '../../fixtures/seeded.ts'

const [KiB, MiB, GiB] = [1024, 1024 ** 2, 1024 ** 3]
const good = { format: 'parentfs-profile', version: 1, sizeBytes: GiB, validator: null, ranges: [[0, 4096]] }
const facts = { origin: 'http://host/', key: 'a', sizeBytes: 10 * MiB + 5, validator: '"v1"', modifiedMs: 0 }

const parse = (value: unknown) => parseProfileFile(JSON.stringify(value))

t.test('a record becomes ranges of bytes within the image, and comes back from its text', async t => {
  const record = {
    blockBytes: 64 * KiB,
    openers: 3,
    runs: [
      [160, 1, 0],
      [3, 2, 1],
      [500, 1, 0],
    ] as const,
  }
  const file = profileFileOf(facts, record)
  t.same(file, {
    sizeBytes: 10 * MiB + 5,
    validator: '"v1"',
    ranges: [
      [10 * MiB, 5],
      [192 * KiB, 128 * KiB],
    ],
  })
  t.same(parseProfileFile(formatProfileFile(file)), file)
  t.equal(profileFileOf({ ...facts, origin: 'file:///srv/' }, record).validator, null, 'of this host alone')
})

t.test('the longest profile that can be written can be read', async t => {
  const runs = Array.from({ length: profileRunsMax }, (_, k) => [2 ** 33 + 2 * k, 1, 0] as const)
  const file = profileFileOf({ ...facts, sizeBytes: 2 ** 50 }, { blockBytes: 64 * KiB, openers: 1, runs })
  const text = formatProfileFile({ ...file, validator: 'v'.repeat(profileValidatorCharsMax) })
  t.ok(text.length <= profileFileBytesMax, `${text.length} bytes`)
  t.equal(parseProfileFile(text).ranges.length, profileRunsMax)
})

t.test('what is no profile is refused with its mistake', async t => {
  const many = (count: number) => Array.from({ length: count }, (_, k) => [2 * k, 1])
  const wrong: [string, unknown, RegExp][] = [
    ['no object', 7, /no object/],
    ['null', null, /no object/],
    ['another format', { ...good, format: 'x' }, /format/],
    ['another version', { ...good, version: 2 }, /version is not 1/],
    ['no size', { ...good, sizeBytes: -1 }, /sizeBytes/],
    ['a size that is no number', { ...good, sizeBytes: '9' }, /sizeBytes/],
    ['a size beyond all numbers', { ...good, sizeBytes: 2 ** 60 }, /sizeBytes/],
    ['no validator', { ...good, validator: undefined }, /validator/],
    ['a long validator', { ...good, validator: 'x'.repeat(profileValidatorCharsMax + 1) }, /validator/],
    ['no ranges', { ...good, ranges: undefined }, /no ranges/],
    ['an empty list', { ...good, ranges: [] }, /no ranges/],
    ['a range too many', { ...good, ranges: many(profileRunsMax + 1) }, /more than 3072/],
    ['half a range', { ...good, ranges: [[1]] }, /\[offset, length\]/],
    ['more than a range', { ...good, ranges: [[1, 2, 3]] }, /\[offset, length\]/],
    ['an empty range', { ...good, ranges: [[1, 0]] }, /\[offset, length\]/],
    ['a negative offset', { ...good, ranges: [[-1, 2]] }, /\[offset, length\]/],
    ['a fraction', { ...good, ranges: [[0.5, 2]] }, /\[offset, length\]/],
    ['a text', { ...good, ranges: ['ab'] }, /\[offset, length\]/],
    ['past the end', { ...good, ranges: [[GiB - 1, 2]] }, /past the end/],
    ['far past the end', { ...good, ranges: [[2 ** 53 - 1, 2 ** 53 - 1]] }, /past the end/],
    [
      'an overlap',
      {
        ...good,
        ranges: [
          [8192, 10],
          [0, 8193],
        ],
      },
      /overlaps/,
    ],
    [
      'the same twice',
      {
        ...good,
        ranges: [
          [0, 1],
          [0, 1],
        ],
      },
      /overlaps/,
    ],
    [
      'too many bytes',
      {
        ...good,
        ranges: [
          [0, profileBytesMax],
          [profileBytesMax, 1],
        ],
      },
      /more than \d+ bytes/,
    ],
  ]
  for (const [what, value, message] of wrong) {
    t.throws(() => parse(value), { code: 'invalid-argument', message }, what)
  }
  t.throws(() => parseProfileFile('no JSON'), { code: 'invalid-argument', message: /not JSON/ })
  t.throws(() => parseProfileFile('['.repeat(100_000)), { code: 'invalid-argument', message: /not JSON/ })
  t.throws(() => parseProfileFile(' '.repeat(profileFileBytesMax + 1)), { code: 'invalid-argument', message: /longer/ })
  t.same(parse({ ...good, ranges: many(profileRunsMax) }).ranges.length, profileRunsMax)
  t.same(parse({ ...good, ranges: [[0, profileBytesMax]] }).ranges.length, 1)
})

t.test('texts that were changed at random are refused, or keep every promise', async t => {
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  const ranges = Array.from({ length: 40 }, (_, k) => [k * MiB, 1 + Math.floor(random() * MiB)] as const)
  const text = formatProfileFile({ sizeBytes: 64 * MiB, validator: 'v', ranges })
  const letters = '0123456789-,.[]{}":eE\0\u{1f600} '
  let refused = 0
  for (let round = 0; round < 3000; round++) {
    const changed = [...text]
    for (let edits = 1 + Math.floor(random() * 3); edits > 0; edits--) {
      const at = Math.floor(random() * changed.length)
      const letter = letters[Math.floor(random() * letters.length)]!
      changed.splice(at, Math.floor(random() * 3), ...(random() < 0.7 ? [letter] : []))
    }
    try {
      const file = parseProfileFile(changed.join(''))
      const sorted = [...file.ranges].sort((a, b) => a[0] - b[0])
      const isRight = sorted.every(
        ([offset, length], k) =>
          length > 0 && offset >= 0 && offset + length <= Math.min(file.sizeBytes, sorted[k + 1]?.[0] ?? Infinity),
      )
      if (!isRight) t.fail(`SEED=${seed}, round ${round}: ${changed.join('')}`)
    } catch (error) {
      refused++
      if (!isCacheError(error, 'invalid-argument')) t.fail(`SEED=${seed}, round ${round}: ${error}`)
    }
  }
  t.ok(refused > 300 && refused < 3000, `${refused} were refused`)
})

t.test('ranges are cut at the end of the image and at the bytes that may be fetched', async t => {
  const file = {
    ranges: [
      [100, 50],
      [0, 60],
      [900, 200],
      [2000, 1],
    ] as const,
  }
  t.same(
    [...rangesWithin(file, 1000, 1e9)],
    [
      [100, 50],
      [0, 60],
      [900, 100],
    ],
  )
  t.same(
    [...rangesWithin(file, 1000, 70)],
    [
      [100, 50],
      [0, 20],
    ],
  )
  t.same([...rangesWithin(file, 1000, 0)], [])
})

t.test('a profile of the version is trusted, and one that fits by name alone is not', async t => {
  const image = identify(facts)
  const { sizeBytes, validator } = facts
  t.equal(trustIn({ sizeBytes, validator, ranges: [] }, image), 'version')
  t.equal(trustIn({ sizeBytes, validator: null, ranges: [] }, image), 'version')
  t.equal(trustIn({ sizeBytes, validator: '"v2"', ranges: [] }, image), 'name')
  t.equal(trustIn({ sizeBytes: sizeBytes + 1, validator, ranges: [] }, image), 'name')
})
