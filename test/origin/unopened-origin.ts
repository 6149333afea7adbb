/** Origins that are not open yet: they stand for the same origin, and answer as one that is down. */
import t from 'tap'
import { openOrigin } from '../../src/origin/open-origin.ts'
import { downFor, UnopenedOrigin } from '../../src/origin/unopened-origin.ts'
import { CircuitState } from '../../src/origin/wrappers/circuit-state.ts'
import { originFailuresMax } from '../../src/origin/wrappers/limits.ts'
import { patienceMs } from '../fixtures/daemon.ts'
import { noHoles } from '../fixtures/extents.ts'
import { scriptedImage } from '../fixtures/scripted-origin.ts'
import { until } from '../fixtures/until.ts'

const { signal } = new AbortController()
const why = 'its file is missing'
const image = scriptedImage('a', 100)

t.test('it has the identity of the origin, and its directories', async t => {
  for (const url of [
    'file:///images',
    'http://HOST/images',
    'https://host/images/',
    'nbd://host/export',
    'oci://registry.example/disks',
    's3://bucket/prefix/',
  ]) {
    const opened = openOrigin(url, { addon: noHoles })
    const unopened = new UnopenedOrigin(url, why)
    t.equal(unopened.url, opened.url)
    t.equal(unopened.isHierarchical, opened.isHierarchical === true, url)
    await opened.close()
  }
})

t.test('reads wait and make it away, and begin again elsewhere when it is over', async t => {
  const unopened = new UnopenedOrigin('http://host/', why)
  const availability = new CircuitState(unopened.url)
  const retry = { msMin: 1, msMax: 1 }
  const origin = downFor(unopened, availability, { retry, missMsMax: 60_000 })
  await t.rejects(origin.lookup('a', { signal }), { code: 'origin-unreachable', message: /its file is missing/ })
  const reads = Array.from({ length: originFailuresMax }, () =>
    t.rejects(origin.read(image, 0, new Uint8Array(9), { signal }), { code: 'origin-away' }),
  )
  await until(() => availability.state === 'away', patienceMs, 'an origin that is away')
  t.match(availability.status(), { state: 'away', reason: /its file is missing/ })
  unopened.end()
  await Promise.all(reads)
  t.not(availability.state, 'away')
})
