/** Redirects that lead to this machine: which are refused, whatever the place is called. */
import type { LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import t, { type Test } from 'tap'
import { identify } from '../../../../src/base/image.ts'
import { HttpOrigin } from '../../../../src/origin/http/http-origin.ts'
import { isLocalAddress, LocalRedirects } from '../../../../src/origin/http/protocol/local-redirects.ts'
import { startHttpOrigin } from '../../../fixtures/http-origin.ts'

const signal = new AbortController().signal

/** Resolves names by a table, each time to the next of the addresses; the last one stays. */
function lookupIn(table: Readonly<Record<string, readonly (readonly string[])[]>>): LookupFunction {
  const asked = new Map<string, number>()
  return (name, options, callback) => {
    const answers = table[name] ?? []
    const at = asked.get(name) ?? 0
    asked.set(name, at + 1)
    const found: LookupAddress[] = (answers[Math.min(at, answers.length - 1)] ?? []).map(address => ({
      address,
      family: address.includes(':') ? 6 : 4,
    }))
    const missing = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    if (found.length === 0) callback(missing, [])
    else if (options.all) callback(null, found)
    else callback(null, found[0]!.address, found[0]!.family)
  }
}

t.test('loopback, link-local and what stands for them are local, all else is not', async t => {
  const local = ['127.0.0.1', '127.255.255.255', '0.0.0.0', '169.254.169.254', '::1', '::', 'fe80::1', 'febf::1']
  const hidden = [
    'fe80::1%eth0',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    'fd00:ec2::254',
  ]
  for (const address of [...local, ...hidden]) t.ok(isLocalAddress(address), address)
  const far = ['10.0.0.1', '126.255.255.255', '128.0.0.1', '169.253.0.1', '169.255.0.1', '192.168.1.1', '1.0.0.0']
  const farther = ['2001:db8::1', 'fec0::1', 'fd00:ec2::253', '::ffff:10.0.0.1', '64:ff9b::a00:1', '::2:0:0']
  for (const address of [...far, ...farther]) t.notOk(isLocalAddress(address), address)
})

t.test('who is elsewhere may not lead here by an address, who is here may', async t => {
  const lookup = lookupIn({
    'far.test': [['203.0.113.1']],
    'here.test': [['127.0.0.1', '::1']],
    'both.test': [['127.0.0.1', '203.0.113.1']],
  })
  const places = [
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://0x7f.1:8080/',
    'http://[::1]/',
    'http://[::ffff:169.254.169.254]/',
    'http://0/',
  ]
  for (const place of places) {
    for (const home of ['http://203.0.113.1', 'http://far.test', 'http://both.test', 'http://[2001:db8::1]:8080']) {
      const redirects = new LocalRedirects(home, lookup)
      await t.rejects(redirects.mustBeAllowed(new URL(place)), { code: 'origin-protocol' }, `${home} to ${place}`)
      await redirects.mustBeAllowed(new URL('http://192.0.2.1/'))
      await redirects.mustBeAllowed(new URL('http://here.test/')) // Its lookup says.
    }
    for (const home of ['http://127.0.0.1:1', 'http://here.test', 'http://[fe80::1]', 'http://169.254.1.1']) {
      await new LocalRedirects(home, lookup).mustBeAllowed(new URL(place))
    }
  }
  await t.rejects(new LocalRedirects('http://gone.test', lookup).mustBeAllowed(new URL(places[0]!)), {
    code: 'ENOTFOUND',
  })
})

/**
 * An origin that was found here, and that is elsewhere by now; it redirects to `location`. @returns the number of
 * requests here
 */
async function redirected(t: Test, location: (port: string) => string) {
  const directory = t.testdir({ 'a.img': 'x'.repeat(1000) })
  const [home, here] = [await startHttpOrigin({ directory }), await startHttpOrigin({ directory })]
  const lookup = lookupIn({
    'far.test': [['127.0.0.1'], ['203.0.113.1']],
    'local.test': [['127.0.0.1']],
    'mixed.test': [['203.0.113.2', '127.0.0.1']],
  })
  const origin = new HttpOrigin(home.url.replace('127.0.0.1', 'far.test'), {
    lookup,
    inPlaceBytesMin: 1,
    connectionsMax: 1,
  })
  t.teardown(() => Promise.all([origin.close(), home.close(), here.close()]))
  await home.fault({ kind: 'redirect', location: location(new URL(here.url).port) })
  return { origin, asked: async () => (await here.counters()).requests }
}

for (const host of ['127.0.0.1', 'local.test', 'mixed.test']) {
  t.test(`a server elsewhere does not lead us to this machine: by ${host}`, async t => {
    const { origin, asked } = await redirected(t, port => `http://${host}:${port}/a.img`)
    await t.rejects(origin.lookup('a.img', { signal }), { code: 'origin-protocol', message: /not followed/ })
    const reading = await redirected(t, port => `http://${host}:${port}/a.img`)
    const image = identify({
      origin: reading.origin.url,
      key: 'a.img',
      sizeBytes: 1000,
      validator: '"v"',
      modifiedMs: 0,
    })
    await t.rejects(reading.origin.read(image, 0, new Uint8Array(10), { signal }), {
      code: 'origin-protocol',
      message: /not followed/,
    })
    t.same([await asked(), await reading.asked()], [0, 0])
  })
}
