/** Documents in effect: what waits for the next mount is as before, and the rest as the file says. */
import t from 'tap'
import { documentAfterReload } from '../../../src/daemon/config/document-after-reload.ts'

t.test('what waits is as before, at any depth, and all else is as it is said', async t => {
  const before = { origin: { url: 'a' }, cache: { directory: '/c', capacity: 1 }, transport: 'kernel' }
  const said = {
    origins: { a: { url: 'a' } },
    cache: { directory: '/d', blockSize: 2, capacity: 3 },
    log: { level: 'x' },
  }
  const kept = [['origin'], ['origins'], ['cache', 'directory'], ['cache', 'blockSize'], ['transport'], ['a', 'b']]
  t.same(documentAfterReload(said, before, kept), {
    origin: { url: 'a' },
    cache: { directory: '/c', capacity: 3 },
    transport: 'kernel',
    log: { level: 'x' },
    a: {},
  })
  t.same(documentAfterReload(said, before, []), said)
})

t.test('an origin with a point in its name, and a section that is not there any more', async t => {
  const before = { origins: { 'a.b': { url: 'old', tries: 3 } }, worker: { sessionThreads: 2 } }
  const kept = [
    ['origins', 'a.b'],
    ['worker', 'sessionThreads'],
  ]
  t.same(documentAfterReload({ origins: { 'a.b': { url: 'new' }, c: { url: 'c' } } }, before, kept), {
    origins: { 'a.b': { url: 'old', tries: 3 }, c: { url: 'c' } },
    worker: { sessionThreads: 2 },
  })
})
