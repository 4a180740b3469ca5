// SPDX-License-Identifier: PostgreSQL
// /metrics: accepted by Prometheus' own checker, sums of all workers, bounded whatever clients send.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Raw } from './raw.js';
import { freePort, refused, root, until, World } from './harness.js';

// name{labels} → number, of a gateway.
async function metrics(world, headers = {})
{
	const response = await fetch(`${world.http}/metrics`, { headers });
	assert.equal(response.status, 200);
	assert.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
	const text = await response.text();
	const lines = text.trimEnd().split('\n').filter(line => !line.startsWith('#'));
	return { text, all: new Map(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))])) };
}

// One sample's value; 0 when it is not there.
async function value(world, sample)
{
	return (await metrics(world)).all.get(`chat_gateway_${sample}`) ?? 0;
}

async function check(text)
{
	const promtool = spawn('promtool', ['check', 'metrics']);
	let said = '';
	for (const stream of [promtool.stdout, promtool.stderr])
		stream.on('data', chunk => said += chunk);
	promtool.stdin.end(text);
	const [code] = await once(promtool, 'close');
	assert.equal(said, '');
	assert.equal(code, 0);
}

describe('/metrics', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { workers: 2, pool_size: 3, trusted_proxies: '192.0.2.1' } });
	});
	after(() => world.stop());

	test('counts what happens, in the form that promtool accepts', async () => {
		const { a, b, chat_id } = await world.pair();
		const sent = 40;
		await Promise.all(Array.from({ length: sent }, (_, n) => a.call('send_message', { chat_id, body: `text ${n}`, client_key: `k${n}` })));
		for (let n = 0; n < sent; n++)
			await b.event(event => event.type === 'message');
		await refused(a.call('send_message', { chat_id: '1', body: 'x' }));
		await refused(a.call('send_message', {}));
		await a.call('ping');
		const { text, all } = await metrics(world);
		const at = name => all.get(`chat_gateway_${name}`);
		assert.equal(at('calls_total{method="send_message",code="ok"}'), sent);
		assert.equal(at('calls_total{method="send_message",code="404"}'), 1);
		assert.equal(at('calls_total{method="send_message",code="-32602"}'), 1);
		assert.equal(at('calls_total{method="ping",code="ok"}'), 1);
		assert.equal(at('call_duration_seconds_count{method="send_message"}'), sent + 2);
		assert.equal(at('call_duration_seconds_bucket{method="send_message",le="+Inf"}'), sent + 2);
		assert.ok(at('call_duration_seconds_sum{method="send_message"}') > 0);
		assert.ok(at('events_received_total{type="message"}') >= sent);
		assert.ok(at('events_pushed_total') >= 2 * sent);
		assert.ok(at('event_delay_seconds_count') >= 2 * sent);
		assert.ok(at('event_delay_seconds_bucket{le="10"}') >= 2 * sent, 'none took ten seconds');
		assert.ok(at('group_calls_sum') >= sent);
		assert.ok(at('group_calls_count') > 0);
		assert.equal(at('workers'), 2);
		assert.equal(at('listening_workers'), 2);
		assert.equal(at('database_connections{lane="grouped",state="idle"}'), 6);
		assert.equal(at('database_connections{lane="grouped",state="connecting"}'), 0);
		assert.equal(at('calls_waiting{lane="grouped"}'), 0);
		assert.ok(at('call_wait_seconds_count{lane="grouped"}') >= sent);
		assert.equal(at('feed_queue_length'), 0);
		assert.equal(at('outbound_queue_bytes'), 0);
		assert.equal(at('calls_in_flight'), 0);
		assert.ok(at('sessions') >= 2);
		assert.ok([...all.keys()].some(name => /^chat_gateway_build_info\{version="\d/.test(name)));
		const readme = await readFile(join(root, 'README.md'), 'utf8');
		for (const [, name] of text.matchAll(/^# TYPE (?:chat_gateway_)?(\w+) /gm))
			assert.ok(readme.includes(`\`${name}\``), `${name} in the README`);
		assert.ok(Math.abs(all.get('process_start_time_seconds') - Date.now() / 1000) < 600);
		await check(text);
		await a.close();
		await b.close();
		await until(async () => await value(world, 'sessions') === 0, 'no sessions');
		assert.ok(await value(world, 'sessions_closed_total{reason="left"}') >= 2);
	});

	test('any worker tells the sums of all, also of one that was killed', async () => {
		const alice = await world.user('alice');
		const sockets = [];
		for (let n = 0; n < 16; n++)
			sockets.push(await world.connect(alice));
		for (const socket of sockets)
			await socket.call('ping');
		const samples = ['calls_total{method="ping",code="ok"}', 'calls_total{method="get_profile",code="ok"}', 'sessions'];
		const told = await Promise.all(samples.map(sample => value(world, sample)));
		assert.equal(told[2], 16);
		for (let n = 0; n < 8; n++)
			assert.deepEqual(await Promise.all(samples.map(sample => value(world, sample))), told, 'whoever answers');
		const [victim] = await world.gateway.workers();
		process.kill(victim, 'SIGKILL');
		await until(async () => (await world.gateway.workers()).every(pid => pid !== victim), 'it is gone');
		await until(async () => await value(world, 'workers').catch(() => 0) === 2 && await value(world, 'listening_workers') === 2, 'its successor');
		assert.equal(await value(world, samples[0]), told[0]);
		assert.equal(await value(world, samples[1]), told[1]);
		const left = sockets.filter(socket => !socket.ended).length;
		assert.ok(left < 16);
		await until(async () => await value(world, 'sessions') === left, 'what it had open counts no more');
		await until(async () => await value(world, 'database_connections{lane="grouped",state="idle"}') === 6, 'its connections');
		for (const socket of sockets.filter(one => !one.ended))
			await socket.call('ping');
		assert.equal(await value(world, samples[0]), told[0] + left);
		await check((await metrics(world)).text);
		await Promise.all(sockets.map(socket => socket.ended || socket.close()));
	});

	test('hostile names of methods are all "other"', async () => {
		const anonymous = await world.connect();
		const before = (await metrics(world)).all;
		const names = ['nothing', '', 'a"} 1\nevil{x="', '\\', 'é'.repeat(300), 'x'.repeat(5000), 'other', 'le', '__name__', 'chat.send_message', 'SEND_MESSAGE',
			...Array.from({ length: 300 }, (_, n) => `method_${n}`)];
		for (const name of names)
			await refused(anonymous.call(name));
		anonymous.send('{');
		await anonymous.reply(frame => frame.error.code === -32700);
		const { text, all } = await metrics(world);
		const other = 'chat_gateway_calls_total{method="other",code="-32601"}';
		assert.equal(all.get(other), (before.get(other) ?? 0) + names.length);
		const strangers = [...all.keys()].filter(name => !before.has(name) && !/method="other"/.test(name));
		assert.deepEqual(strangers, []);
		assert.doesNotMatch(text, /evil/);
		await check(text);
		await anonymous.close();
	});

	test('connections that are refused are counted by reason', async () => {
		await assert.rejects(world.connect(undefined, { Origin: 'https://elsewhere.example' }));
		assert.equal(await value(world, 'connections_refused_total{reason="origin"}'), 1);
	});

	test('the pool\'s connections and the LISTEN connection, lost and back', async () => {
		const lost = await value(world, 'listen_lost_total');
		await world.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'chat-gateway'");
		await until(async () => await value(world, 'listen_lost_total') === lost + 2, 'both were lost');
		await until(async () => await value(world, 'listening_workers') === 2 && await value(world, 'database_connections{lane="grouped",state="idle"}') === 6, 'back');
		assert.ok(await value(world, 'database_connections_lost_total') >= 2);
	});

	test('who comes through a proxy is refused, whatever it adds', async () => {
		const status = async headers => {
			const raw = new Raw(world.port).write(`GET /metrics HTTP/1.1\r\n${Object.entries({ Host: `127.0.0.1:${world.port}`, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
			const answer = await raw.status();
			raw.close();
			return answer;
		};
		for (const name of ['X-Forwarded-For', 'Forwarded', 'Via', 'X-Real-IP', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'x-forwarded-anything', 'X-Forwarded',
			'CF-Connecting-IP', 'True-Client-IP', 'X-Client-IP', 'X-Cluster-Client-IP', 'Fastly-Client-IP', 'X-Envoy-External-Address', 'X-Amzn-Trace-Id', 'CDN-Loop'])
			for (const value of ['127.0.0.1', ''])
				assert.equal(await status({ [name]: value }), 403, name);
		// One that adds nothing, but passes on the name that the client asked for.
		for (const host of ['chat.example.org', 'chat.example.org:443', '192.0.2.1', 'localhost.example.org', '127.0.0.1.example.org', '[2001:db8::1]:80', '[', ''])
			assert.equal(await status({ Host: host }), 403, host);
		for (const host of ['localhost', 'LOCALHOST:9', '127.0.0.1', '127.1.2.3:80', '[::1]', '[::1]:8080'])
			assert.equal(await status({ Host: host }), 200, host);
	});
});

describe('metrics_listen', () => {
	test('is a listener of its own: there they are for whoever reaches it, and nowhere else', async () => {
		const port = await freePort();
		const world = await World.start({ knobs: { workers: 2, metrics_listen: `127.0.0.1:${port}`, max_sockets: 2 } });
		const status = async (at, path, headers = '') => {
			const raw = new Raw(at).write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
			const answer = await raw.status();
			raw.close();
			return answer;
		};
		assert.equal(await status(world.port, '/metrics'), 404);
		for (const [path, answer] of [['/metrics', 200], ['/healthz', 200], ['/readyz', 200], ['/', 404], ['/index.html', 404], ['/openrpc.json', 404], ['/events', 404], ['/files/1', 404]])
			assert.equal(await status(port, path), answer, path);
		assert.equal(await status(port, '/metrics', 'X-Forwarded-For: 192.0.2.1\r\n'), 200);
		assert.equal(await status(port, '/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n'), 404);

		// Clients that take all sockets keep nobody from it.
		const held = [];
		await until(async () => {
			held.push(new Raw(world.port).write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'));
			return await held.at(-1).status() === 503;
		}, 'no more sockets');
		assert.equal(await status(port, '/metrics'), 200);
		for (const raw of held)
			raw.close();

		// Nor does the death of a worker, nor the next program.
		const [victim] = await world.gateway.workers();
		process.kill(victim, 'SIGKILL');
		for (let n = 0; n < 8; n++)
			assert.equal(await status(port, '/metrics'), 200);
		const before = await world.gateway.workers();
		world.gateway.process.kill('SIGUSR2');
		await until(async () => (await world.gateway.workers()).every(pid => !before.includes(pid)) && (await world.gateway.workers()).length === 2, 'other workers');
		assert.equal(await status(port, '/metrics'), 200);
		await world.stop();
	});
});
