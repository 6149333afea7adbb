/**
 * The protocol of the residency table, tried in every interleaving: eviction clears, bumps, punches; promotion writes,
 * sets; a reader takes generation, bits, bytes, generation.
 *
 * The right orders never give wrong bytes. Each wrong order does somewhere, which shows that the model sees what it
 * looks for. A step is what the machine does at once; writes, punches and reads of a block are two steps each, because
 * files change page by page.
 */
import t from 'tap'

/** One object with one block of two pages; a page holds the image's bytes or, in a hole, zeros. */
interface Cell {
  resident: boolean
  generation: number
  readonly right: [boolean, boolean]
}

interface Reader {
  readonly generations: number[]
  bits: boolean
  readonly pages: boolean[]
  moved: boolean
}

interface World {
  readonly objects: Cell[]
  readonly reader: Reader
}

type Step = (world: World) => void

const clear =
  (object = 0): Step =>
  world => {
    world.objects[object]!.resident = false
  }
const bump =
  (object = 0): Step =>
  world => {
    world.objects[object]!.generation++
  }
const put = (right: boolean, object: number): Step[] =>
  ([0, 1] as const).map(page => world => {
    world.objects[object]!.right[page] = right
  })
const punch = (object = 0) => put(false, object)
const write = (object = 0) => put(true, object)
const set =
  (object = 0): Step =>
  world => {
    world.objects[object]!.resident = true
  }

const generation =
  (object = 0): Step =>
  world => {
    world.reader.generations[object] = world.objects[object]!.generation
  }
const bits =
  (object = 0): Step =>
  world => {
    if (!world.objects[object]!.resident) world.reader.bits = false
  }
const bytes = (object = 0): Step[] =>
  ([0, 1] as const).map(page => world => {
    world.reader.pages.push(world.objects[object]!.right[page])
  })
const again =
  (object = 0): Step =>
  world => {
    if (world.reader.generations[object] !== world.objects[object]!.generation) world.reader.moved = true
  }

const evict = (object = 0) => [clear(object), bump(object), ...punch(object)]
const promote = (object = 0) => [...write(object), set(object)]
const read = [generation(), bits(), ...bytes(), again()]

interface Outcome {
  interleavings: number
  hits: number
  wrong: number
}

/**
 * Run every interleaving of `threads`. A hit is a read that returns bytes, wrong when a page of them is not the
 * image's.
 */
function explore(threads: readonly (readonly Step[])[], world: World): Outcome {
  const outcome: Outcome = { interleavings: 0, hits: 0, wrong: 0 }
  const at = threads.map(() => 0)
  const visit = (now: World) => {
    let ended = true
    for (const [k, steps] of threads.entries()) {
      const step = steps[at[k]!]
      if (!step) continue
      ended = false
      const next = copyOf(now)
      step(next)
      at[k]!++
      visit(next)
      at[k]!--
    }
    if (!ended) return
    outcome.interleavings++
    if (!now.reader.bits || now.reader.moved) return
    outcome.hits++
    if (now.reader.pages.includes(false)) outcome.wrong++
  }
  visit(world)
  return outcome
}

function copyOf({ objects, reader }: World): World {
  return {
    objects: objects.map(({ resident, generation, right }) => ({ resident, generation, right: [...right] })),
    reader: { ...reader, generations: [...reader.generations], pages: [...reader.pages] },
  }
}

/** `objects` objects, all of them in the store, or none. */
function start(resident: boolean, objects = 1): World {
  return {
    objects: Array.from({ length: objects }, () => ({ resident, generation: 0, right: [resident, resident] })),
    reader: { generations: [], bits: true, pages: [], moved: false },
  }
}

t.test('the right order never returns wrong bytes', async t => {
  // One writer: promotion and eviction of an object hold its lock, so they come one after the other.
  for (const [name, steps, resident] of [
    ['evict', evict(), true],
    ['promote', promote(), false],
    ['evict, promote', [...evict(), ...promote()], true],
    ['promote, evict', [...promote(), ...evict()], false],
    ['evict, promote, evict', [...evict(), ...promote(), ...evict()], true],
    ['evict, promote, evict, promote', [...evict(), ...promote(), ...evict(), ...promote()], true],
  ] as const) {
    const outcome = explore([steps, read], start(resident))
    t.equal(outcome.wrong, 0, `${name}: ${outcome.interleavings} interleavings`)
    t.ok(outcome.hits > 0, 'some of them hits')
    t.ok(outcome.hits < outcome.interleavings, 'and some misses')
  }
})

t.test('a read of two objects never returns wrong bytes, whichever is evicted', async t => {
  const readBoth = [generation(0), bits(0), generation(1), bits(1), ...bytes(0), ...bytes(1), again(0), again(1)]
  const one = explore([[...evict(0), ...promote(0)], readBoth], start(true, 2))
  t.equal(one.wrong, 0)
  t.ok(one.hits > 0)
  const other = explore([[...evict(1), ...promote(1)], readBoth], start(true, 2))
  t.equal(other.wrong, 0)
  t.ok(other.hits > 0)
  const both = explore([[clear(0), bump(0), punch(0)[0]!], [clear(1), bump(1), punch(1)[0]!], readBoth], start(true, 2))
  t.equal(both.wrong, 0, `${both.interleavings} interleavings`)
  t.ok(both.hits > 0)
})

t.test('each wrong order of eviction returns wrong bytes somewhere', async t => {
  for (const [name, steps] of [
    ['punch first', [...punch(), clear(), bump()]],
    ['punch before the bump', [clear(), ...punch(), bump()]],
    ['punch before the clear', [bump(), ...punch(), clear()]],
    ['no bump', [clear(), ...punch()]],
    ['bump before the clear', [bump(), clear(), ...punch()]],
    ['no clear', [bump(), ...punch()]],
  ] as const) {
    const { wrong, interleavings } = explore([steps, read], start(true))
    t.ok(wrong > 0, `${name}: ${wrong} of ${interleavings}`)
  }
})

t.test('each wrong order of promotion returns wrong bytes somewhere', async t => {
  for (const [name, steps] of [
    ['set before the write', [set(), ...write()]],
    ['set within the write', [write()[0]!, set(), write()[1]!]],
  ] as const) {
    const { wrong, interleavings } = explore([steps, read], start(false))
    t.ok(wrong > 0, `${name}: ${wrong} of ${interleavings}`)
  }
})

t.test('each wrong reader returns wrong bytes somewhere', async t => {
  const writer = [...evict(), ...promote()]
  for (const [name, steps] of [
    ['no second generation', [generation(), bits(), ...bytes()]],
    ['second generation before the bytes', [generation(), bits(), again(), ...bytes()]],
    ['second generation within the bytes', [generation(), bits(), bytes()[0]!, again(), bytes()[1]!]],
    ['bits before the first generation', [bits(), generation(), ...bytes(), again()]],
    ['bytes before the bits', [...bytes(), generation(), bits(), again()]],
    ['no bits', [generation(), ...bytes(), again()]],
    ['bits instead of generations', [generation(), bits(), ...bytes(), bits()]],
  ] as const) {
    const { wrong, interleavings } = explore([writer, steps], start(true))
    t.ok(wrong > 0, `${name}: ${wrong} of ${interleavings}`)
  }
})

t.test('promotion and eviction of one object without its lock end resident over a hole', async t => {
  const unlocked = explore([evict(), promote(), read], start(true))
  t.ok(unlocked.wrong > 0, `${unlocked.wrong} of ${unlocked.interleavings}`)
})
