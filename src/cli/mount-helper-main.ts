#!/usr/bin/env -S node --inspect-port=[fe80::1]:9229
/**
 * `mount.parentfs`: started by mount(8) for lines of /etc/fstab whose type is parentfs. Returns when the mount answers.
 * mount-helper.ts has its arguments. It exits as mount(8) wants: 0, 1 (called wrongly), or 32 (not mounted).
 */
import '../base/no-inspector.ts'
import { messageOf } from '../base/errors.ts'
import { mount } from './commands/mount.ts'
import { parseHelperCall } from './commands/mount-helper.ts'
import { remark } from './output/terminal-output.ts'

const wrongCallExitCode = 1
const notMountedExitCode = 32

// mount(8) gives its helpers no PATH, and the programs that we start are looked for in one.
process.env.PATH ??= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
let failedExitCode = wrongCallExitCode
try {
  const { mount: args, fake, verbose } = parseHelperCall(process.argv.slice(2))
  failedExitCode = notMountedExitCode
  if (!fake) await mount(args)
  if (verbose) remark(`mount.parentfs: ${fake ? 'would mount' : 'mounted'} on ${args.places.at(-1)}`)
} catch (error) {
  remark(`mount.parentfs: ${messageOf(error).replace(/\s*\n\s*/g, ' ')}`)
  process.exitCode = failedExitCode
}
