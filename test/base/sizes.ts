/** Sizes and durations: what people write, and what must be refused instead of guessed. */
import t from 'tap'
import { parseDuration, parseRange, parseSize } from '../../src/base/sizes.ts'

t.test('sizes are binary, with or without the i', async t => {
  const GiB = 1024 ** 3
  for (const text of ['10GiB', '10G', '10GB', '10gib', '10 GiB', ' 10GiB ']) t.equal(parseSize(text), 10 * GiB, text)
  t.equal(parseSize('4096'), 4096)
  t.equal(parseSize('4096B'), 4096)
  t.equal(parseSize('64KiB'), 65536)
  t.equal(parseSize('1.5MiB'), 1.5 * 1024 ** 2)
  t.equal(parseSize('2T'), 2 * 1024 ** 4)
  t.equal(parseSize('0'), 0)
})

t.test('what is not a size whole is refused', async t => {
  for (const text of [
    '',
    'GiB',
    '10GiBs',
    '10 G iB',
    '-1G',
    '1e3',
    '0x10',
    '10Q',
    '1.0001K',
    '9007199254740993',
    '1,5G',
    'NaN',
    '10iB',
  ]) {
    t.throws(() => parseSize(text), { code: 'invalid-argument' }, JSON.stringify(text))
  }
})

t.test('durations need a unit', async t => {
  t.equal(parseDuration('500ms'), 500)
  t.equal(parseDuration('1.5s'), 1500)
  t.equal(parseDuration('2 minutes'), 120_000)
  t.equal(parseDuration('1d'), 86_400_000)
  for (const text of ['', '10', '-5s', '5 apples', 's', '5s5', '1m 30s', 'Infinity']) {
    t.throws(() => parseDuration(text), { code: 'invalid-argument' }, JSON.stringify(text))
  }
})

t.test('ranges go from a byte to another, or to the end', async t => {
  t.same(parseRange('0-1GiB'), { from: 0, to: 1024 ** 3 })
  t.same(parseRange(' 1K - 4096 '), { from: 1024, to: 4096 })
  t.same(parseRange('10GiB-'), { from: 10 * 1024 ** 3, to: Number.MAX_SAFE_INTEGER })
  for (const text of ['', '5', '-', '-5', '5-5', '2G-1G', '1-2-3', 'a-b', '0-1e3']) {
    t.throws(() => parseRange(text), { code: 'invalid-argument' }, JSON.stringify(text))
  }
})
