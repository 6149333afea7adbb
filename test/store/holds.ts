/** Who reads a data file past us. */
import t from 'tap'
import { Holds } from '../../src/store/holds.ts'

/** A file that somebody else has open, or of which nobody can tell. */
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
  const holds = new Holds(file)
  file.elsewhere = true
  t.equal(holds.any, true)
  t.equal(holds.begin(), false, 'and not given away once more')
  file.elsewhere = false
  t.equal(holds.any, false)
  const { asked } = file
  t.equal(holds.any, false)
  t.equal(file.asked, asked, 'whoever comes from now on comes by us')
})

t.test('the end of our own holds is not believed: a mapping may be left', async t => {
  const file = new LeasedFile()
  const holds = new Holds(file)
  t.equal(holds.any, false)
  t.equal(holds.begin(), true)
  file.elsewhere = true
  t.equal(holds.begin(), true)
  holds.end()
  t.equal(holds.any, true)
  holds.end()
  t.match(holds, { count: 0, any: true })
  file.elsewhere = false
  t.equal(holds.any, false)
})

t.test('where nobody can tell, nothing is given away; what is not understood counts as held', async t => {
  const file = new LeasedFile()
  file.errno = 'EINVAL'
  t.match(new Holds(file), { any: false })
  t.equal(new Holds(file).begin(), false)
  file.errno = 'EACCES'
  t.match(new Holds(file), { any: true })
  t.equal(new Holds(file).begin(), false)
})
