import t from 'tap'
import { Attendance } from '../../src/store/attendance.ts'

t.test('attendance ends only when nobody is there, and then nobody comes in', async t => {
  const attendance = new Attendance()
  let finish = () => {}
  const work = attendance.during(() => new Promise<string>(resolve => (finish = () => resolve('done'))), 'sent away')
  t.equal(attendance.end(), false)
  t.equal(await attendance.during(async () => 'in as well', 'sent away'), 'in as well')
  finish()
  t.equal(await work, 'done')
  await t.rejects(
    attendance.during(() => Promise.reject(new Error('no')), 0),
    { message: 'no' },
  )
  t.equal(attendance.end(), true)
  let came = false
  t.equal(await attendance.during(async () => (came = true), false), false)
  t.equal(came, false)
  attendance.resume()
  t.equal(await attendance.during(async () => 1, 0), 1)
})
