import t from 'tap'
import { UsageGate } from '../../../src/store/image/usage-gate.ts'

t.test('attendance ends only when nobody is there, and then nobody comes in', async t => {
  const attendance = new UsageGate()
  let finish = () => {}
  const work = attendance.enter(() => new Promise<string>(resolve => (finish = () => resolve('done'))), 'sent away')
  t.equal(attendance.closeIfIdle(), false)
  t.equal(await attendance.enter(async () => 'in as well', 'sent away'), 'in as well')
  finish()
  t.equal(await work, 'done')
  await t.rejects(
    attendance.enter(() => Promise.reject(new Error('no')), 0),
    { message: 'no' },
  )
  t.equal(attendance.closeIfIdle(), true)
  let came = false
  t.equal(await attendance.enter(async () => (came = true), false), false)
  t.equal(came, false)
  attendance.reopen()
  t.equal(await attendance.enter(async () => 1, 0), 1)
})
