/** A promotion by the whole group: owners first, then all; members that die or cannot are gone around. */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { GroupPromotion, type GroupPromotionContext } from '../../../src/fleet/asking/group-promotion.ts'
import { promotionLostMsMax } from '../../../src/fleet/asking/limits.ts'
import type { MemberMessage, SmallAnswer } from '../../../src/fleet/asking/member-channel.ts'
import type { KnownMember } from '../../../src/fleet/group/group-view.ts'

const image = identify({ origin: 'https://o/', key: 'a', sizeBytes: 1_000, validator: 'v', modifiedMs: 0 })

function memberOf(k: number, facts: Partial<KnownMember> = {}): KnownMember {
  const url = `https://m${k}:1`
  return { id: `m${k}`, url, rack: '', weight: 1, blockBytes: 4_096, state: 'up', since: 0, ...facts }
}

const done = { state: 'done', doneBytes: 300, totalBytes: 300, promotedBytes: 100, complete: true, reason: '' }

function promotionOf(
  answer: (id: string, part: string) => SmallAnswer | Promise<SmallAnswer>,
  more: Partial<GroupPromotionContext> = {},
) {
  const asked: string[] = []
  const [leaving, vanished] = [memberOf(8, { state: 'leaving' }), memberOf(9, { isVanished: true })]
  const promotion = new GroupPromotion({
    view: { members: [memberOf(1), memberOf(2), memberOf(3), leaving, vanished], own: memberOf(1) },
    messagesOf: ({ id }) => ({
      request: async ({ method, path, image: about }: MemberMessage) => {
        const part = /part=(\w+)$/.exec(path)![1]!
        asked.push(`${method} ${id} ${part} ${about?.key}`)
        return await answer(id, part)
      },
    }),
    promoteHere: async (_, part, { onProgress }) => {
      asked.push(`here ${part}`)
      onProgress({ doneBytes: 400, totalBytes: 400 })
      return { promotedBytes: 50, complete: part === 'all' }
    },
    now: () => performance.now(),
    ...more,
  })
  return { promotion, asked }
}

const quiet = { signal: new AbortController().signal, onProgress: () => {} }
const text = (state: object) => ({ status: 200, text: JSON.stringify(state) })

t.test('each owner its units, and only then all of it; members that leave or vanished are left out', async t => {
  const { promotion, asked } = promotionOf(() => text(done))
  const progress: string[] = []
  const members = await promotion.run(image, {
    ...quiet,
    onProgress: ({ phase, doneBytes, totalBytes }) => progress.push(`${phase} ${doneBytes}/${totalBytes}`),
  })
  t.same([...asked.slice(0, 3)].sort(), ['POST m2 own a', 'POST m3 own a', 'here own'])
  t.same([...asked.slice(3)].sort(), ['POST m2 all a', 'POST m3 all a', 'here all'])
  t.same(
    members.map(({ id, promotedBytes, complete }) => [id, promotedBytes, complete]),
    [
      ['m1', 100, true],
      ['m2', 200, true],
      ['m3', 200, true],
    ],
  )
  t.ok(progress.includes('each owner its units 1000/1000'))
  t.equal(progress.at(-1), 'all members all of it 1000/3000')
})

t.test('a member that fails, answers nonsense or dies is named, and the others go on', async t => {
  const answers: [SmallAnswer | Error, RegExp][] = [
    [text({ ...done, state: 'failed', reason: 'no room' }), /no room/],
    [{ status: 404, text: '' }, /status 404/],
    [{ status: 200, text: 'nonsense' }, /nonsense/],
    [new Error('connection refused'), /connection refused/],
  ]
  for (const [answer, why] of answers) {
    let nowMs = 0
    const { promotion } = promotionOf(
      id => {
        nowMs += promotionLostMsMax
        if (id !== 'm2') return text(done)
        if (answer instanceof Error) throw answer
        return answer
      },
      { now: () => nowMs },
    )
    const members = await promotion.run(image, quiet)
    t.match(members.find(({ id }) => id === 'm2')!.failure, why)
    t.same(
      members.map(({ failure }) => failure === null),
      [true, false, true],
    )
  }
})

t.test('a member whose worker was replaced goes on', async t => {
  let count = 0
  const { promotion } = promotionOf(id => {
    if (id !== 'm3' || ++count !== 2) return text(count < 3 && id === 'm3' ? { ...done, state: 'running' } : done)
    throw new Error('the connection was lost')
  })
  const members = await promotion.run(image, quiet)
  t.same(
    members.map(({ failure }) => failure),
    [null, null, null],
  )
})

t.test('an operator who leaves ends it', async t => {
  const left = new AbortController()
  const { promotion } = promotionOf(() => {
    left.abort()
    return text({ ...done, state: 'running' })
  })
  await t.rejects(promotion.run(image, { ...quiet, signal: left.signal }), { code: 'aborted' })
})

t.test('members with all of an image and those without are counted', async t => {
  const { promotion } = promotionOf(id => text(id === 'm2' ? { ...done, complete: false } : done))
  await promotion.run(image, quiet)
  t.same(promotion.counters, { complete: 2, incomplete: 1 })
})
