/** Readers of a data file that bypass the daemon. */
import t from 'tap'
import { KernelRefs } from '../../../src/store/image/kernel-refs.ts'

/** A file that another process has open, or one without an answer. */
class LeasedFile {
  elsewhere = false
  errno: string | null = null
  asked = 0

  isOpenElsewhere(): boolean {
    this.asked++
    if (this.errno !== null) throw Object.assign(new Error(this.errno), { code: this.errno })
    return this.elsewhere
  }
}

t.test('a file that an earlier process gave away is held until nobody has it any more', async t => {
  const file = new LeasedFile()
  const holds = new KernelRefs(file)
  file.elsewhere = true
  t.equal(holds.exist, true)
  t.equal(holds.begin(), false, 'and not given away once more')
  file.elsewhere = false
  t.equal(holds.exist, false)
  const { asked } = file
  t.equal(holds.exist, false)
  t.equal(file.asked, asked, 'whoever comes from now on comes by us')
})

t.test('the end of our own holds is not believed: a mapping may be left', async t => {
  const file = new LeasedFile()
  const holds = new KernelRefs(file)
  t.equal(holds.exist, false)
  t.equal(holds.begin(), true)
  file.elsewhere = true
  t.equal(holds.begin(), true)
  holds.end()
  t.equal(holds.exist, true)
  holds.end()
  t.match(holds, { count: 0, exist: true })
  file.elsewhere = false
  t.equal(holds.exist, false)
})

t.test('where nobody can tell, nothing is given away; what is not understood counts as held', async t => {
  const file = new LeasedFile()
  file.errno = 'EINVAL'
  t.match(new KernelRefs(file), { exist: false })
  t.equal(new KernelRefs(file).begin(), false)
  file.errno = 'EACCES'
  t.match(new KernelRefs(file), { exist: true })
  t.equal(new KernelRefs(file).begin(), false)
})
