import t from 'tap'
import { KeyedMutex } from '../../src/async/keyed-mutex.ts'

t.test('holders of one key come one after another, in the order of asking; other keys do not wait', async t => {
  const mutex = new KeyedMutex()
  const order: string[] = []
  const turn = () => new Promise(resolve => setImmediate(resolve))
  const hold = (key: string, name: string) =>
    mutex.run(key, async () => {
      order.push(`${name} in`)
      await turn()
      order.push(`${name} out`)
    })
  await Promise.all([hold('a', '1'), hold('a', '2'), hold('b', '3')])
  t.ok(order.indexOf('1 out') < order.indexOf('2 in'))
  t.ok(order.indexOf('3 in') < order.indexOf('1 out'))
  t.equal(mutex.size, 0)
})

t.test('who asks after an end waits for the holder of now', async t => {
  const mutex = new KeyedMutex()
  const ends: (() => void)[] = []
  let holders = 0
  const hold = () =>
    mutex.run('a', async () => {
      holders++
      await new Promise<void>(resolve => ends.push(resolve))
      holders--
    })
  const first = hold()
  const second = hold()
  ends[0]!()
  await first
  await new Promise(resolve => setImmediate(resolve))
  const third = hold()
  await new Promise(resolve => setImmediate(resolve))
  t.equal(holders, 1)
  ends[1]!()
  await second
  await new Promise(resolve => setImmediate(resolve))
  t.equal(holders, 1)
  ends[2]!()
  await third
  t.equal(mutex.size, 0)
})

t.test('what a holder asks for at once waits for it like any other', async t => {
  const mutex = new KeyedMutex()
  const order: string[] = []
  let inner = Promise.resolve()
  const outer = mutex.run('a', async () => {
    inner = mutex.run('a', async () => void order.push('inner'))
    await new Promise(resolve => setImmediate(resolve))
    order.push('outer')
  })
  await Promise.all([outer, inner])
  t.same(order, ['outer', 'inner'])
})

t.test('a holder that throws frees the key, and the error is its own', async t => {
  const mutex = new KeyedMutex()
  const bad = mutex.run('a', async () => {
    throw new Error('bad')
  })
  const good = mutex.run('a', async () => 'good')
  await t.rejects(bad, { message: 'bad' })
  t.equal(await good, 'good')
})

t.test('two who want several keys in opposite order do not wait for each other for ever', async t => {
  const mutex = new KeyedMutex()
  const turn = () => new Promise(resolve => setImmediate(resolve))
  await Promise.all([mutex.runAll(['a', 'b', 'a'], turn), mutex.runAll(['b', 'a'], turn), mutex.run('b', turn)])
  t.equal(mutex.size, 0)
})

t.test('one who wants several keys stands in every line from the moment of asking', async t => {
  const mutex = new KeyedMutex()
  const order: string[] = []
  const hold = (keys: readonly string[]) =>
    mutex.runAll(keys, async () => {
      order.push(`${keys} in`)
      await new Promise(resolve => setImmediate(resolve))
      order.push(`${keys} out`)
    })
  await Promise.all([hold(['a']), hold(['b', 'a']), hold(['b'])])
  t.same(order, ['a in', 'a out', 'b,a in', 'b,a out', 'b in', 'b out'])
  t.equal(mutex.size, 0)
})
