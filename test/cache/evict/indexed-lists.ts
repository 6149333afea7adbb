import t from 'tap'
import { IndexedLists } from '../../../src/cache/evict/indexed-lists.ts'
import { between, seeded } from '../../fixtures/seeded.ts'

t.test('numbers go in and out as they would of arrays, in the same order', async t => {
  for (let seed = 0; seed < 4; seed++) {
    const random = seeded(seed)
    const lines = new IndexedLists(3)
    const model: number[][] = [[], [], []]
    const values = new Map<number, number>()
    // Of several images: beyond 32 bits, alike in the lower ones. Few at first, so that slots are used again, and many
    // later.
    const draw = (most: number) => between(random, 0, 4) * 2 ** 32 + between(random, 0, most)
    let wrong = 0
    for (let k = 0; k < 20_000; k++) {
      const id = draw(k < 5000 ? 40 : 1200)
      const line = model.findIndex(ids => ids.includes(id))
      if (lines.listOf(id) !== line) wrong++
      const what = between(random, 0, 4)
      if (what === 0 && line >= 0) {
        values.set(id, k % 256)
        lines.setValue(id, k % 256)
      } else if (what === 1) {
        if (lines.remove(id) !== line) wrong++
        if (line >= 0) model[line]!.splice(model[line]!.indexOf(id), 1)
      } else if (what === 2 && k % 7 === 0) {
        const from = between(random, 0, 2)
        if (lines.firstOf(from) !== (model[from]![0] ?? null)) wrong++
        if (lines.shift(from) !== (model[from]!.shift() ?? null)) wrong++
      } else if (line < 0) {
        const to = between(random, 0, 2)
        lines.push(to, id)
        model[to]!.push(id)
        values.set(id, 0)
      }
      if (lines.listOf(id) >= 0 && lines.valueOf(id) !== values.get(id)) wrong++
    }
    t.equal(wrong, 0)
    for (const line of [0, 1, 2]) {
      t.same([...lines.idsOf(line)], model[line])
      t.equal(lines.sizeOf(line), model[line]!.length)
    }
    t.ok(model.flat().length > 2000, 'it has grown')
  }
})

t.test('who is looked at may leave', async t => {
  const lines = new IndexedLists(1)
  for (let id = 0; id < 10; id++) lines.push(0, id)
  for (const id of lines.idsOf(0)) if (id % 3 !== 1) lines.remove(id)
  t.same([...lines.idsOf(0)], [1, 4, 7])
})
