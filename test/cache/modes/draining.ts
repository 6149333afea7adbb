/** Drains of origins: several at once, each with its own end. */
import t from 'tap'
import { Draining } from '../../../src/cache/modes/draining.ts'

t.test('an origin is drained from the beginning of the first drain to the end of the last', async t => {
  const draining = new Draining()
  const has = () => ['a', 'b', 'c'].map(url => draining.has(url))
  t.same(has(), [false, false, false])
  const endBoth = draining.begin(['a', 'b'])
  const endOne = draining.begin(['a'])
  t.same(has(), [true, true, false])
  endBoth()
  t.same(has(), [true, false, false])
  endOne()
  t.same(has(), [false, false, false])
})
