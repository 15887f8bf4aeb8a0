// What a user of @kubernetes/client-node does: `node informer.mjs KUBECONFIG NAMESPACE`. Follows the ConfigMaps of the
// namespace with an informer, writes through the typed and the generic client, and prints what it sees, a line each.
import * as k8s from '@kubernetes/client-node';

const [kubeconfig, namespace] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(k8s.CoreV1Api);
const say = (...words) => process.stdout.write(words.join(' ') + '\n');

const list = () => core.listNamespacedConfigMap({ namespace });
const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list);
const show = (event) => (found) => say(event, found.metadata.name, JSON.stringify(found.data ?? {}));
for (const event of ['add', 'update', 'delete']) informer.on(event, show(event));
let failures = 0;
informer.on('error', (error) => {
    if (failures++ === 0) say('error');
    setTimeout(() => informer.start().catch(() => {}), 200);
});
await informer.start();
say('started');

process.stdin.setEncoding('utf8');
let text = '';
const commands = {
    create: async (name) => core.createNamespacedConfigMap({ namespace, body: { metadata: { name }, data: { a: 'b' } } }),
    patch: async (name) => core.patchNamespacedConfigMap(
        { name, namespace, body: { data: { a: 'c' } } },
        k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch)),
    delete: async (name) => core.deleteNamespacedConfigMap({ name, namespace }),
    apply: async (name) => k8s.KubernetesObjectApi.makeApiClient(config).patch(
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { a: 'd' } },
        undefined, undefined, 'js', true, k8s.PatchStrategy.ServerSideApply),
    refuse: async (name) => {
        try {
            await core.readNamespacedConfigMap({ name, namespace });
        } catch (error) {
            say('refused', error.code, JSON.parse(error.body).reason);
        }
    },
    stop: async () => { await informer.stop(); process.exit(0); },
};
process.stdin.on('data', async (chunk) => {
    text += chunk;
    const lines = text.split('\n');
    text = lines.pop();
    for (const line of lines) {
        const [command, name] = line.split(' ');
        try {
            await commands[command](name);
            say('done', command);
        } catch (error) {
            say('failed', command, error.message.replaceAll('\n', ' '));
        }
    }
});
