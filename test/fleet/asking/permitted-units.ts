/** Units that session threads may read at the origin: those of which nobody is to be asked, whoever is well. */
import t from 'tap'
import { AskOrder } from '../../../src/fleet/asking/ask-order.ts'
import { FormerOwnerUnits } from '../../../src/fleet/asking/former-owner-units.ts'
import { permitBytesMax } from '../../../src/fleet/asking/limits.ts'
import { PermittedUnits } from '../../../src/fleet/asking/permitted-units.ts'
import { GroupView } from '../../../src/fleet/group/group-view.ts'
import { vanishedMsMax } from '../../../src/fleet/group/limits.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import { unitBlocks } from '../../../src/fleet/wire/wire.ts'
import type { OriginReader } from '../../../src/native/origin-reader.ts'
import { FakePermitTables } from '../../fixtures/fake-permits.ts'
import { seed, seeded } from '../../fixtures/seeded.ts'

const blockBytes = 4_096
const unitBytes = unitBlocks * blockBytes
const image = { id: '00112233445566778899aabbccddeeff', sizeBytes: 150 * unitBytes + 77 }
const units = 151
const reader = {} as OriginReader

function memberOf(k: number, more: Partial<Member> = {}): Member {
  return { id: `m${k}`, url: `https://10.0.0.${k}:1`, rack: '', weight: 1, blockBytes, state: 'up', since: 0, ...more }
}

function permitsOf(own: Member | null, rack = '') {
  let nowMs = 0
  let isJoining = false
  const view = new GroupView({ own, blockBytes, rack, now: () => nowMs })
  const tables = new FakePermitTables()
  const former = new FormerOwnerUnits(view)
  const native: unknown[] = []
  const permits = new PermittedUnits({
    ...{ tables, view, blockBytes, former },
    isJoining: () => isJoining,
    onNative: (_, unit, { length }) => void native.push([unit, length]),
  })
  const join = (joining: boolean) => {
    isJoining = joining
    permits.revise()
  }
  const list = (members: readonly Member[]) => {
    view.update(members)
    permits.revise()
  }
  const pass = (ms: number) => {
    nowMs += ms
    permits.revise()
  }
  /** A member has told the units that it has. */
  const tell = (id: string, held: readonly number[]) => {
    const bits = Buffer.alloc(Math.ceil(units / 8))
    for (const unit of held) bits[unit >> 3]! |= 1 << (unit & 7)
    former.begin(id, image.id)
    if (former.end(id, image.id, bits, view.ownership)) permits.told(image.id)
  }
  return { view, permits, made: tables.made, native, join, list, pass, tell }
}

const all = Array.from({ length: units }, (_, unit) => unit)

t.test('a permitted unit is the origin’s whoever is well; with all well the others are not', async t => {
  const random = seeded(seed)
  t.comment(`SEED=${seed}`)
  let [permitted, passedOver] = [0, 0]
  for (let round = 0; round < 40; round++) {
    const draw = (of: number) => Math.floor(random() * of)
    const rack = ['', 'a'][draw(2)]!
    const members = Array.from({ length: 1 + draw(6) }, (_, k) =>
      memberOf(k, {
        rack: ['', 'a', 'b'][draw(3)]!,
        weight: 0.5 + random(),
        state: random() < 0.2 ? 'leaving' : 'up',
      }),
    )
    const own = { ...members[0]!, rack }
    const { view, permits, made, list, pass } = permitsOf(own, rack)
    list(members)
    // One has vanished, and keeps its ranks for some minutes.
    if (members.length > 2) list(members.slice(0, -1))
    if (draw(2) === 0) pass(vanishedMsMax)
    permits.guard(image, reader)
    await permits.settled()
    for (const unit of all) {
      const order = (isUsable: () => boolean) =>
        new AskOrder({
          ranks: view.ranks(image.id, unit),
          ownId: own.id,
          isUsable,
          replicas: () => 2,
          hop: 0,
          isJoining: false,
          draw: random(),
          asked: new Set(),
        })
      const isPermitted = made[0]!.covers(unit)
      // One that is leaving has no units, also where nobody else is there to ask.
      const isOwn = own.state === 'up' && order(() => true).isOrigins
      if (isOwn !== isPermitted) t.fail(`round ${round}, unit ${unit}: ${isPermitted}`)
      if (isPermitted) permitted++
      else passedOver++
      if (isPermitted && !order(() => random() < 0.5).isOrigins)
        t.fail(`round ${round}, unit ${unit}: others are asked`)
    }
    permits.close()
    t.same(made[0]!.permitted, [], 'closed')
  }
  t.ok(permitted > 500 && passedOver > 500, `${permitted} permitted, ${passedOver} not`)
})

t.test('a change of the view revokes all at once, and the units of now are permitted afterwards', async t => {
  const { permits, made, list, pass, join } = permitsOf(memberOf(1))
  permits.guard(image, reader)
  await permits.settled()
  t.same(made[0]!.permitted, all, 'alone')
  list([memberOf(1), memberOf(2)])
  t.same(made[0]!.permitted, [])
  await permits.settled()
  const [own, others] = [made[0]!.permitted, all.filter(unit => !made[0]!.covers(unit))]
  t.ok(own.length > units / 4 && others.length > units / 4)
  list([memberOf(2, { url: 'https://10.0.0.9:1' }), memberOf(1)])
  t.same(made[0]!.permitted, own, 'the same members with other addresses move nothing')
  list([memberOf(1)])
  t.same(made[0]!.permitted, own, 'a member that vanished keeps its units')
  pass(vanishedMsMax)
  t.same(made[0]!.permitted, [])
  await permits.settled()
  t.same(made[0]!.permitted, all)
  list([memberOf(1), memberOf(3)])
  list([memberOf(1), memberOf(3), memberOf(4)])
  await permits.settled()
  const three = made[0]!.permitted
  t.ok(three.length < units / 2)
  join(true)
  t.same(made[0]!.permitted, [])
  await permits.settled()
  t.same(made[0]!.permitted, [], 'former owners are asked first')
  join(false)
  await permits.settled()
  t.same(made[0]!.permitted, three)
})

t.test('a host that has just joined has the units of which no former owner has told that it has them', async t => {
  const { view, permits, made, list, join, tell } = permitsOf(memberOf(1))
  list([1, 2, 3].map(k => memberOf(k)))
  join(true)
  permits.guard(image, reader)
  await permits.settled()
  t.same(made[0]!.permitted, [], 'nobody has told')
  tell('m2', [])
  await permits.settled()
  t.same(made[0]!.permitted, [], 'the other one may have them')
  const own = all.filter(unit => view.ownsAlone(image.id, unit))
  const [held, ...others] = own
  tell('m3', [held!])
  await permits.settled()
  t.same(made[0]!.permitted, others)
  list([1, 2, 3, 4].map(k => memberOf(k)))
  await permits.settled()
  t.same(made[0]!.permitted, [], 'what was told was of other ranks')
  tell('m2', [])
  join(false)
  await permits.settled()
  t.same(
    made[0]!.permitted,
    all.filter(unit => view.ownsAlone(image.id, unit)),
  )
})

t.test('a view that changes while units are found leaves no permit of before', async t => {
  const { permits, made, list } = permitsOf(memberOf(1))
  permits.guard({ ...image, sizeBytes: 40_000 * unitBytes }, reader)
  list([memberOf(1), memberOf(2)])
  list([memberOf(1), memberOf(2), memberOf(3)])
  await permits.settled()
  const { view } = permitsOf(memberOf(1))
  view.update([memberOf(1), memberOf(2), memberOf(3)])
  const wrong = made[0]!.permitted.filter(unit => !view.ownsAlone(image.id, unit))
  t.same(wrong, [])
  t.ok(made[0]!.permitted.length > 10_000)
})

t.test('a host that only asks has no permits, and one that leaves has none any more', async t => {
  const asking = permitsOf(null)
  t.equal(asking.permits.guard(image, reader), null)
  const { view, permits, made } = permitsOf(memberOf(1))
  permits.guard(image, reader)
  await permits.settled()
  view.setOwn(memberOf(1, { state: 'leaving' }))
  permits.revise()
  await permits.settled()
  t.same(made[0]!.permitted, [])
})

t.test('images beyond the bytes of all permits go by TypeScript, and are counted', async t => {
  const { permits, made } = permitsOf(memberOf(1))
  const whole = { id: image.id, sizeBytes: permitBytesMax * 8 * unitBytes }
  const other = { id: image.id.replace('0', '1'), sizeBytes: 1 }
  permits.close()
  t.equal(permits.guard(other, reader), null, 'closed')
  const open = permitsOf(null) // No unit is looked at: sizes alone count.
  open.view.setOwn(memberOf(1))
  open.join(true)
  t.ok(open.permits.guard(whole, reader))
  t.equal(open.permits.guard(other, reader), null)
  t.equal(open.permits.counters.refusedImages, 1)
  open.permits.release(whole.id)
  open.permits.release(whole.id)
  t.ok(open.permits.guard(other, reader))
  t.equal(open.permits.guard(whole, reader), null)
  t.equal(made.length, 0)
  await open.permits.settled()
  open.permits.close()
})

t.test('reads within a permit are counted by unit', async t => {
  const { permits, native } = permitsOf(memberOf(1))
  const facts = { origin: 'https://o/', key: 'a', validator: 'v', modifiedMs: 0 }
  permits.answered({ ...image, ...facts }, { offset: 3 * unitBytes + blockBytes, length: blockBytes }, 2)
  t.same(native, [[3, blockBytes]])
  t.same(permits.counters, { reads: 1, bytes: blockBytes, refusedImages: 0 })
  permits.close()
})
