/**
 * Settings of an origin in a Ceph cluster, beside those that every origin has.
 */
import { z } from 'zod'
import type { OriginOptions } from '../../origin/open-origin.ts'
import { booleanField, pathField, setting, shown } from './setting-fields.ts'

/** A name as Ceph's own tools take it. */
function name(what: string) {
  return z
    .string({ error: ({ input }) => `${shown(input)} is not the name of a ${what}` })
    .regex(/^[\w][\w.-]*$/, { error: ({ input }) => `${shown(input)} is not the name of a ${what}: give a plain word` })
    .optional()
}

/** Of rbd and rados origins. */
export const radosFields = {
  cephConf: pathField({
    live: true,
    what: "of rbd and rados: Ceph's configuration file",
    unset: 'where Ceph looks: `/etc/ceph/CLUSTER.conf`',
  }),
  cephId: setting(name('client'), {
    kind: 'text',
    range: 'a name without `client.`',
    live: true,
    what: 'who we are to the cluster',
    unset: '`admin`',
  }),
  cephKeyring: pathField({
    live: true,
    what: 'the keyring that has its key',
    unset: 'where Ceph looks: `/etc/ceph/CLUSTER.client.ID.keyring`',
  }),
  cluster: setting(name('cluster'), {
    kind: 'text',
    range: 'a name',
    live: false,
    what: 'the cluster; the same as in the URL, where it is part of what images are known by',
    unset: '`ceph`',
  }),
  namespace: setting(
    z
      .string({ error: ({ input }) => `${shown(input)} is not the name of a namespace` })
      .regex(/^[^/@\0]+$/, { error: 'a namespace has neither / nor @ in its name' })
      .optional(),
    { kind: 'text', range: 'a name', live: false, what: "the pool's namespace; likewise", unset: 'the default one' },
  ),
}

/** Of rbd origins. */
export const rbdFields = {
  ...radosFields,
  allowMutable: booleanField({
    live: true,
    what: 'of rbd: show images as they are now where no snapshot stands for them; nobody may write to them',
    unset: 'false',
  }),
}

type CephSettings = { readonly [name in keyof typeof rbdFields]?: z.output<(typeof rbdFields)[name]> }

/** The same, as src/origin/open-origin.ts wants it. */
export function cephOptionsOf({ cephConf, cephId, cephKeyring, allowMutable }: CephSettings): OriginOptions['ceph'] {
  return {
    configurationFile: cephConf ?? null,
    id: cephId ?? null,
    keyring: cephKeyring ?? null,
    allowMutable: allowMutable ?? false,
  }
}
