/** Files of the compiled program, by name. */
import { existsSync } from 'node:fs'
import t from 'tap'
import { programFile } from '../../src/base/program-file.ts'

t.test('each program that another one starts lies where its name says', async t => {
  const names = ['daemon/supervisor/supervisor-main.js', 'daemon/worker/worker-main.js', 'web/plan-main.js']
  for (const name of [...names, 'index/recovery/salvage-main.js']) t.ok(existsSync(programFile(name)), name)
})
