/**
 * CPU seconds of a process by the names of its threads, in user and in kernel mode.
 */
import { readdir, readFile } from 'node:fs/promises'

export interface Use {
  readonly user: number
  readonly system: number
}

/** Of utime and stime. Source: proc_pid_stat(5), sysconf(_SC_CLK_TCK): 100 on each supported architecture. */
const ticksPerSecond = 100
const restMs = 300

/** A moment in which it takes next to no processor. */
export async function untilRests(pid: number): Promise<void> {
  for (let last = -ticksPerSecond; ; ) {
    const { user, system } = (await used(pid)).get('all')!
    if (user + system - last < 1.5 / ticksPerSecond) return
    last = user + system
    await new Promise(resolve => setTimeout(resolve, restMs))
  }
}

/** CPU seconds so far. */
export async function used(pid: number): Promise<Map<string, Use>> {
  const all = parse(await readFile(`/proc/${pid}/stat`, 'utf8'))
  const found = new Map<string, Use>([['all', all]])
  for (const id of await readdir(`/proc/${pid}/task`)) {
    const stat = await readFile(`/proc/${pid}/task/${id}/stat`, 'utf8').catch(() => null)
    if (stat === null) continue // It has ended.
    const { name, user, system } = parse(stat)
    const group = Number(id) === pid ? 'main' : name.startsWith('pfs-') ? name.slice('pfs-'.length) : 'V8'
    const { user: users = 0, system: systems = 0 } = found.get(group) ?? {}
    found.set(group, { user: users + user, system: systems + system })
  }
  return found
}

/** Source: proc_pid_stat(5): the name is in brackets, utime and stime are fields 14 and 15. */
function parse(stat: string): Use & { readonly name: string } {
  const end = stat.lastIndexOf(')')
  const fields = stat.slice(end + 2).split(' ')
  const seconds = (field: number) => Number(fields[field - 3]) / ticksPerSecond
  return { name: stat.slice(stat.indexOf('(') + 1, end), user: seconds(14), system: seconds(15) }
}

export function difference(after: ReadonlyMap<string, Use>, before: ReadonlyMap<string, Use>): Map<string, Use> {
  const none = { user: 0, system: 0 }
  return new Map(
    [...after].map(([name, { user, system }]) => {
      const { user: users, system: systems } = before.get(name) ?? none
      return [name, { user: user - users, system: system - systems }]
    }),
  )
}
