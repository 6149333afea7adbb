/** The lock file of a supervisor: what it says is there at every moment. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { lockListPageBytes, lockLooksMax, successorMsMax } from '../../src/admin/limits.ts'
import {
  keptMark,
  presenceText,
  successorWaitMs,
  troubleOf,
  writePresence,
} from '../../src/admin/supervisor-presence.ts'

t.test('a text is replaced by a longer and by a shorter one', async t => {
  const path = join(t.testdir(), 'x.lock')
  writeFileSync(path, '')
  for (const [isKept, trouble] of [
    [true, null],
    [true, 'no disk'],
    [false, 'no disk'],
    [false, null],
  ] as const) {
    writePresence(path, presenceText(isKept, trouble))
    t.equal(readFileSync(path, 'utf8'), presenceText(isKept, trouble))
  }
})

t.test('a mount that outlives its supervisor is said to at every moment, also while the text is replaced', async t => {
  const path = join(t.testdir(), 'x.lock')
  writeFileSync(path, keptMark)
  const module = new URL('../../src/admin/supervisor-presence.js', import.meta.url).href
  const program = `
    import(${JSON.stringify(module)}).then(({ presenceText, writePresence }) => {
      for (let k = 0; k < 2_000; k++) writePresence(${JSON.stringify(path)}, presenceText(true, k % 2 ? 'no disk' : null))
    })`
  const worker = new Worker(program, { eval: true })
  let [isOver, reads] = [false, 0]
  const over = new Promise<void>((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', () => {
      isOver = true
      resolve()
    })
  })
  const without: string[] = []
  while (!isOver) {
    for (let k = 0; k < 200; k++) {
      const text = readFileSync(path, 'utf8')
      if (!text.startsWith(keptMark)) without.push(text)
    }
    reads += 200
    await new Promise(resolve => setImmediate(resolve))
  }
  await over
  t.same(without, [], `${reads} reads`)
})

t.test('a lock that a look at a long list misses is looked for again; one of a short list is absent', async t => {
  const socket = join(t.testdir({ 'x.lock': presenceText(false, 'no disk') }), 'x.sock')
  const line = (ino: number) => `7: FLOCK  ADVISORY  WRITE 708 fe:01:${ino} 0 EOF\n`
  const ours = line(statSync(socket.replace('.sock', '.lock')).ino)
  const others = line(1).repeat(lockListPageBytes / line(1).length + 1)
  const looks = (texts: readonly string[]) => {
    let at = 0
    const list = () => texts[Math.min(at++, texts.length - 1)]!
    return { waitMs: successorWaitMs(socket, list), looks: at }
  }
  t.same(looks([others, others + ours]), { waitMs: successorMsMax, looks: 2 })
  t.same(looks([others]), { waitMs: 0, looks: lockLooksMax })
  t.same(looks([line(1)]), { waitMs: 0, looks: 1 })
  t.same(looks([ours]), { waitMs: successorMsMax, looks: 1 })
  t.equal(
    troubleOf(socket, () => others + ours),
    'no disk',
  )
  t.equal(
    troubleOf(socket, () => others),
    null,
  )
})
