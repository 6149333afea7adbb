/** Texts of the wire between hosts. */
import t from 'tap'
import {
  entityTag,
  formatImageKey,
  formatSums,
  hopsMax,
  hopsOfOpener,
  imagePath,
  isForeignOpener,
  namePath,
  openerOfHops,
  parseImageKey,
  parseSums,
} from '../../../src/fleet/wire/wire.ts'

t.test('checksums are read back as they were written, and nothing else is', async t => {
  const sums = [0, 1, 0xffff_ffff, 0x8000_0000]
  t.equal(formatSums(sums), '00000000,00000001,ffffffff,80000000')
  t.same(parseSums(formatSums(sums), 4), sums)
  for (const text of ['', '0', '0000000', '00000000,', '0000000g', '00000000;00000000', 'FFFFFFFF'])
    t.equal(parseSums(text, 1), null, text)
  t.equal(parseSums('00000000', 2), null)
  t.equal(parseSums('00000000,00000000', 1), null)
})

t.test('paths encode all but the slashes of a name', async t => {
  t.equal(imagePath('ab'), '/v1/image/ab')
  t.equal(namePath('a/b c%?#/ä.raw'), '/v1/images/a/b%20c%25%3F%23/%C3%A4.raw')
  t.equal(entityTag('ab'), '"ab"')
})

t.test('origin and key cross in one header', async t => {
  const [origin, key] = ['https://host/a b/', 'dir/ä %.raw']
  t.same(parseImageKey(formatImageKey(origin, key)), { origin, key })
  t.match(formatImageKey(origin, key), /^[\x21-\x7e]+ [\x21-\x7e]+$/)
  for (const text of ['', 'a', 'a ', ' b', 'a b c', 'a %', '%ff b']) t.equal(parseImageKey(text), null, text)
})

t.test('an opener tells the members that a question has passed', async t => {
  for (let hops = 0; hops <= hopsMax; hops++) {
    t.equal(hopsOfOpener(openerOfHops(hops)), hops)
    t.ok(isForeignOpener(openerOfHops(hops)))
  }
  for (const opener of [undefined, 0, 1, 4711]) t.same([hopsOfOpener(opener), isForeignOpener(opener)], [0, false])
})
