/** Groups whose members are a list: what every host takes itself and the others for. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { configure, ownSurroundings } from '../../../src/daemon/config/configuration.ts'
import { parseConfiguration } from '../../../src/daemon/config/configuration-file.ts'
import { OpenGroup } from '../../../src/daemon/worker/open-group.ts'
import { FakePermitTables } from '../../fixtures/fake-permits.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const addresses = ['127.0.0.1:7441', '127.0.0.1:7442', '127.0.0.1:7443']
const units = 64
const unitBytes = 2 ** 20
const facts = { origin: 'https://o/', key: 'a', validator: 'v', modifiedMs: 0 }
const image = identify({ ...facts, sizeBytes: units * unitBytes })

const neverAsked = async (): Promise<never> => {
  throw new Error('nobody promotes')
}

/** The group as a host of that address and capacity sees it. */
async function openAt(t: Test, address: string, capacity: string): Promise<OpenGroup> {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-group-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const members = addresses.map(each => `"http://${each}"`).join(', ')
  const text = `origin: { url: "https://o/" }
cache: { capacity: ${capacity} }
fleet: { group: g, listen: "${address}", insecure: true, registry: { members: [${members}] } }
`
  const { document } = parseConfiguration('f', text)
  const configuration = configure({ document, mountpoint: directory }, ownSurroundings())
  const group = await OpenGroup.open(configuration, {
    logger: keepingLogger(),
    viewPath: join(directory, 'view'),
    permitTables: new FakePermitTables(),
    sumOf: () => 0,
    dropMemberUnits: () => {},
    ownProfiles: { get: () => null, merge: () => true },
    sentTo: () => 0,
    operations: { imageOf: neverAsked, promoteImage: neverAsked },
  })
  t.teardown(() => group!.group.close())
  return group!
}

t.test('hosts of a list name the same owner for each unit, whatever their capacities are', async t => {
  const groups = [
    await openAt(t, addresses[0]!, '4GiB'),
    await openAt(t, addresses[1]!, '100GiB'),
    await openAt(t, addresses[2]!, '8TiB'),
  ]
  const [first, ...others] = groups.map(group =>
    group.explain(image.id, 0, image.sizeBytes).map(({ ranks: [owner] }) => owner),
  )
  t.equal(first!.length, units)
  for (const owners of others) t.same(owners, first)
  t.same(new Set(first), new Set(addresses), 'each owns some')
})
