/** The ranges of an image that its members own: together all of it, each once. */
import t from 'tap'
import { ownedRanges } from '../../../src/fleet/asking/owned-units.ts'
import { GroupView } from '../../../src/fleet/group/group-view.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import { unitBlocks } from '../../../src/fleet/wire/wire.ts'

const blockBytes = 4_096
const unitBytes = unitBlocks * blockBytes
const image = { id: '00112233445566778899aabbccddeeff', sizeBytes: 500 * unitBytes + 77 }

t.test('every byte has one owner, and ranges of neighbours are one', async t => {
  const members = [1, 2, 3, 4].map((k): Member => {
    return { id: `m${k}`, url: `https://10.0.0.${k}:1`, rack: '', weight: 1, blockBytes, state: 'up', since: 0 }
  })
  const viewOf = (own: Member | null) => {
    const view = new GroupView({ own, blockBytes, rack: '', now: () => 0 })
    view.update(members)
    return view
  }
  const all = (await Promise.all(members.map(own => ownedRanges(image, viewOf(own), blockBytes)))).flat()
  all.sort((a, b) => a.from - b.from)
  let at = 0
  for (const { from, to } of all) {
    t.equal(from, at)
    at = to
  }
  t.equal(at, image.sizeBytes)
  t.same(await ownedRanges(image, viewOf(null), blockBytes), [])
  const alone = new GroupView({ own: members[0]!, blockBytes, rack: '', now: () => 0 })
  t.same(await ownedRanges(image, alone, blockBytes), [{ from: 0, to: image.sizeBytes }])
})
