// SPDX-License-Identifier: PostgreSQL
// harness.js: what the end-to-end tests stand on: a private cluster, a real gateway on a free port, and clients.
//
//   const world = await World.start({ knobs: { auth_timeout: '500ms' } })   cluster, extension, gateway
//   const alice = await world.user()                     registered through the wire, logged in: { id, name, token }
//   const socket = await world.connect(alice)            authenticated by Bearer; world.connect() is anonymous
//   await socket.call('send_message', { chat_id, body }) the result, or an RpcError with code, message, data
//   await socket.event(e => e.type === 'message')        the next such event, also if it has come already
//   await world.stop()                                   drains, and fails the test if the gateway did not exit 0
//
// Every file has a world of its own, so files may run side by side and break what they like. Nothing waits by
// sleeping for "long enough": either for something to come, or, where nothing must come, behind a later call
// or event of the same socket that would have come after it.
//
// CHAT_GATEWAY names another binary (the one with the address sanitizer).

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { get } from 'node:http';
import { connect, createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import WebSocket from 'ws';

const run = promisify(execFile);
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const binary = resolve(root, process.env.CHAT_GATEWAY ?? 'chat-gateway');
const clusterScript = join(root, 'extension/test/cluster.sh');
const patience = 15000; // ms until what must come is given up

let serial = 0;
export const unique = prefix => `${prefix}${process.pid}x${++serial}`;
export const sleep = ms => new Promise(done => setTimeout(done, ms));

export async function freePort()
{
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	await once(server, 'close');
	return port;
}

// Rejects with `what` when the promise takes too long.
export function within(promise, what, ms = patience)
{
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Polls until `probe` gives something true.
export async function until(probe, what, ms = patience)
{
	for (const end = Date.now() + ms; ;)
	{
		const value = await probe();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`not within ${ms} ms: ${what}`);
		await sleep(50);
	}
}

// Ids of a chat's durable events as a receiver that drops repeated ones has them.
export const seen = (socket, chat_id) => [...new Set(socket.pushes
	.filter(([method, event]) => method === 'event' && event.chat_id === chat_id && event.prev_id).map(([, event]) => event.id))];

export const byId = (a, b) => a.length - b.length || (a < b ? -1 : 1);

// Sends to these chats until the function that it returns is called; every 20th body is too large for a notification.
export function storm(socket, chats, pause = 0)
{
	let going = true;
	let sent = 0;
	const lanes = chats.map(async chat_id => {
		while (going)
		{
			await socket.call('send_message', { chat_id, body: ++sent % 20 === 0 ? '€'.repeat(4000) : `storm ${sent}` });
			await sleep(pause);
		}
	});
	return async () => {
		going = false;
		await Promise.all(lanes);
		return sent;
	};
}

export class RpcError extends Error
{
	constructor({ code, message, data })
	{
		super(`${code} ${message} ${JSON.stringify(data)}`);
		Object.assign(this, { code, text: message, data });
	}
}

// What a promise is rejected with; a result is a failure of the test.
export async function refused(promise)
{
	let result;
	try
	{
		result = await promise;
	}
	catch (error)
	{
		if (error instanceof RpcError)
			return error;
		throw error;
	}
	throw new Error(`an error was due, the answer was ${JSON.stringify(result)}`);
}

// One WebSocket. Frames are sorted into answers to call(), events, cursors, and the rest, which reply() hands out.
export class Socket
{
	// `options` are those of a connection, as localAddress.
	constructor(url, headers = {}, protocols = ['chat.v1'], options = {})
	{
		this.waiting = new Map(); // id → {resolve, reject} of call()
		this.events = [];
		this.others = [];
		this.cursors = [];
		this.pushes = []; // [method, params] of all that was not asked for, as it came; nothing is taken out
		this.wakers = new Set(); // run at each frame and at the end
		this.nextId = 1;
		this.ws = new WebSocket(url, protocols, { headers, perMessageDeflate: false, ...options });
		this.opened = new Promise((resolve, reject) => {
			this.ws.once('open', resolve);
			this.ws.once('unexpected-response', (_, response) => {
				reject(Object.assign(new Error(`HTTP ${response.statusCode}`), { status: response.statusCode }));
				this.ws.terminate();
			});
			this.ws.once('error', reject);
		});
		this.opened.catch(() => {});
		this.ws.on('error', () => {});
		this.ws.on('message', (data, binary) => this.#sort(data.toString(), binary));
		this.closed = new Promise(resolve => this.ws.once('close', (code, reason) => this.#end(code, reason.toString(), resolve)));
	}

	#end(code, reason, resolve)
	{
		this.ended = { code, reason };
		for (const { reject } of this.waiting.values())
			reject(new Error(`socket closed ${code} ${reason}`));
		this.waiting.clear();
		this.wake();
		resolve(this.ended);
	}

	#sort(text)
	{
		const frame = JSON.parse(text);
		if (frame.method)
			this.pushes.push([frame.method, frame.params]);
		const caller = this.waiting.get(frame.id);
		if (frame.method === 'event')
			this.events.push(frame.params);
		else if (frame.method === 'cursor')
			this.cursors.push(frame.params.cursor);
		else if (caller)
		{
			this.waiting.delete(frame.id);
			if (frame.error)
				caller.reject(new RpcError(frame.error));
			else
				caller.resolve(frame.result);
		}
		else
			this.others.push(frame);
		this.wake();
	}

	wake()
	{
		for (const waker of this.wakers)
			waker();
	}

	send(data)
	{
		this.ws.send(typeof data === 'string' || Buffer.isBuffer(data) ? data : JSON.stringify(data));
	}

	call(method, params = {})
	{
		if (this.ended)
			return Promise.reject(new Error(`${method}: the socket was closed ${this.ended.code}`));
		const id = this.nextId++;
		const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
		answer.catch(() => {});
		this.send({ jsonrpc: '2.0', id, method, params });
		return within(answer, `answer to ${method}`);
	}

	// The first entry of `list` that fits, now or later; taken out.
	#take(list, fits, what, ms)
	{
		let waker;
		const found = new Promise((resolve, reject) => {
			waker = () => {
				const at = list.findIndex(fits);
				if (at >= 0)
					resolve(list.splice(at, 1)[0]);
				else if (this.ended)
					reject(new Error(`socket closed ${this.ended.code} while waiting for ${what}`));
				else
					return;
				this.wakers.delete(waker);
			};
			this.wakers.add(waker);
			waker();
		});
		return within(found, what, ms).finally(() => this.wakers.delete(waker));
	}

	event(fits = () => true, what = 'event', ms)
	{
		return this.#take(this.events, fits, what, ms);
	}

	// The next cursor at this id or beyond.
	cursor(id, ms)
	{
		return this.#take(this.cursors, cursor => byId(cursor, id) >= 0, 'cursor', ms);
	}

	reply(fits = () => true, ms)
	{
		return this.#take(this.others, fits, 'frame', ms);
	}

	// How often a push of this name has come.
	count(method)
	{
		return this.pushes.filter(([name]) => name === method).length;
	}

	ending(what = 'close', ms)
	{
		return within(this.closed, what, ms);
	}

	async close()
	{
		this.ws.close(1000);
		await within(this.closed, 'close').catch(() => this.ws.terminate());
	}
}

// A process of the gateway. `log` is all it has written.
export class Gateway
{
	// `under`: a command that runs it, such as prlimit.
	constructor(args, env = {}, under = [])
	{
		this.log = '';
		this.process = spawn(clusterScript, ['as', ...under, binary, ...args], { env: { ...process.env, ...env } });
		for (const stream of [this.process.stdout, this.process.stderr])
			stream.on('data', chunk => this.log += chunk);
		this.exited = once(this.process, 'close').then(([code, signal]) => this.status = { code, signal });
	}

	async ready(port)
	{
		await until(async () => {
			if (this.status)
				throw new Error(`gateway ended: ${JSON.stringify(this.status)}\n${this.log}`);
			// Each answer on a connection of its own: any worker may take it, and all are to be ready.
			const answers = path => new Promise(resolve => {
				get({ host: '127.0.0.1', port, path, agent: false }, answer => resolve(answer.resume().statusCode)).on('error', () => resolve(0));
			});
			for (let i = 0; i < 12; i++)
				if (await answers('/readyz') !== 200)
					return false;
			return true;
		}, 'gateway ready').catch(error => {
			this.process.kill('SIGKILL');
			throw Object.assign(error, { message: `${error.message}\n${this.log}` });
		});
	}

	// Process ids of the workers.
	async workers()
	{
		const { pid } = this.process;
		const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
		return children.split(' ').map(Number).filter(Boolean);
	}

	async stop()
	{
		this.process.kill('SIGTERM');
		await within(this.exited, 'gateway exits after SIGTERM', 30000).catch(error => {
			this.process.kill('SIGKILL');
			throw Object.assign(error, { message: `${error.message}\n${this.log.slice(-4000)}` });
		});
		return this.status;
	}
}

// Stands between the gateway and the database: `dsn` leads through it. What the server says can be held back
// (`mute`), connections can be cut, and new ones refused.
export class Relay
{
	static async start(world)
	{
		const relay = new Relay();
		relay.pairs = new Set();
		relay.server = createServer(gateway => {
			if (relay.refusing)
				return gateway.destroy();
			const server = connect(join(world.sockets, '.s.PGSQL.5432'));
			const pair = { gateway, server, held: [] };
			relay.pairs.add(pair);
			gateway.on('data', data => server.write(data));
			server.on('data', data => (relay.muted ? pair.held.push(data) : gateway.write(data)));
			for (const side of [gateway, server])
				side.on('error', () => {}).on('close', () => {
					gateway.destroy();
					server.destroy();
					relay.pairs.delete(pair);
				});
		}).listen(0, '127.0.0.1');
		await once(relay.server, 'listening');
		return relay;
	}

	get dsn() { return `host=127.0.0.1 port=${this.server.address().port} dbname=chat user=gateway sslmode=disable gssencmode=disable`; }

	mute() { this.muted = true; }

	unmute()
	{
		this.muted = false;
		for (const { gateway, held } of this.pairs)
			gateway.write(Buffer.concat(held.splice(0)));
	}

	// All connections end, and until allow() there are no new ones.
	cut()
	{
		this.refusing = true;
		for (const { gateway, server } of this.pairs)
		{
			gateway.destroy();
			server.destroy();
		}
	}

	allow() { this.refusing = false; }

	stop()
	{
		this.cut();
		this.server.close();
	}
}

export class World
{
	// `knobs` may be a function of the world, called when its cluster is there; `env` is for cluster.sh.
	static async start({ knobs = {}, preload = 'chat', env = {} } = {})
	{
		const world = new this();
		world.env = { ...process.env, CHAT_CLUSTER: unique('e2e'), CHAT_PRELOAD: preload, CHAT_FSYNC: 'off', CHAT_QUIET: 'yes', ...env };
		world.knobs = knobs;
		await world.cluster('prepare');
		world.sockets = /PGHOST=(\S+)/.exec(await world.cluster('env'))[1];
		try
		{
			await world.startGateway();
		}
		catch (error)
		{
			await world.cluster('destroy');
			throw error;
		}
		return world;
	}

	async cluster(...args)
	{
		return (await run(clusterScript, args, { env: this.env })).stdout;
	}

	async startGateway()
	{
		this.port = await freePort();
		const knobs = {
			listen: `127.0.0.1:${this.port}`,
			database: `host=${this.sockets} port=5432 dbname=chat user=gateway`,
			web_root: join(root, 'gateway/web'),
			drain_timeout: '5s',
			drain_seconds: '0s',
			...typeof this.knobs === 'function' ? await this.knobs(this) : this.knobs
		};
		this.gateway = new Gateway(Object.entries(knobs).map(([name, value]) => `--${name.replaceAll('_', '-')}=${value}`), this.env);
		await this.gateway.ready(this.port);
	}

	get url() { return `ws://127.0.0.1:${this.port}/ws`; }
	get http() { return `http://127.0.0.1:${this.port}`; }

	// SQL as the database's owner; the unaligned text of the rows.
	async sql(text)
	{
		const { stdout } = await run('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', this.sockets, '-p', '5432', '-U', 'postgres', '-d', 'chat', '-c', text],
			{ maxBuffer: 1 << 28 });
		return stdout.trimEnd();
	}

	async connect(user, headers = {})
	{
		const socket = new Socket(this.url, user ? { Authorization: `Bearer ${user.token}`, ...headers } : headers);
		await within(socket.opened, 'handshake');
		// Bearer is checked behind the handshake; what is sent before that is done is not pushed to this socket.
		if (user)
			await socket.call('get_profile');
		return socket;
	}

	// A user, and a session on one device.
	async user(prefix = 'u')
	{
		const user = { name: unique(prefix), password: `secret of ${prefix} ${process.pid}` };
		const socket = await this.connect();
		const profile = await socket.call('register_user', { user_name: user.name, password: user.password, display_name: user.name });
		user.id = profile.id;
		Object.assign(user, await this.logIn(user, socket));
		await socket.close();
		return user;
	}

	async logIn(user, socket)
	{
		const own = socket ?? await this.connect();
		const { token, session_id } = await own.call('log_in', { user_name: user.name, password: user.password, device_name: 'test' });
		if (!socket)
			await own.close();
		return { token, session_id };
	}

	// Users with a session each, without the price of a password.
	async crowd(count)
	{
		const rows = await this.sql(`SELECT u.id, s.token
			FROM generate_series(1, ${count}) i, chat.create_user('${unique('crowd')}x' || i) u, chat.create_session(u.id) s`);
		return rows.split('\n').map(row => row.split('|')).map(([id, token]) => ({ id, token }));
	}

	// A small and a large chat of the same people; `members` are some of both, `sender` is a socket of their owner.
	async party(size = 4)
	{
		const [owner, ...others] = await this.crowd(20); // chat.user_fanout_limit is 16
		const sender = await this.connect(owner);
		const small = (await sender.call('create_group', { title: 'small', member_ids: others.slice(0, 4).map(({ id }) => id) })).id;
		const large = (await sender.call('create_group', { title: 'large', member_ids: others.map(({ id }) => id) })).id;
		return { owner, sender, small, large, chats: [small, large], members: others.slice(0, size) };
	}

	// A socket that says itself who it is, and since when; `answer` is what it was told.
	async enter(user, since)
	{
		const socket = await this.connect();
		socket.answer = await socket.call('authenticate', { token: user.token, ...since === undefined ? {} : { since } });
		return socket;
	}

	// Each of the sockets has all events of these chats from the first that it heard on, and nobody was told to look.
	async haveAll(sockets, chats)
	{
		assert.deepEqual(sockets.map(socket => socket.count('chat_reset')), sockets.map(() => 0), 'too much for the setting sync_chat_limit');
		for (const chat_id of chats)
		{
			const truth = await this.truth(chat_id);
			for (const [i, socket] of sockets.entries())
			{
				await until(() => seen(socket, chat_id).includes(truth.at(-1)), `the last event at socket ${i}`);
				const from = truth.indexOf(seen(socket, chat_id).sort(byId)[0]);
				// One may be overtaken by a later one.
				await until(() => seen(socket, chat_id).length >= truth.length - from, 'all', 5000).catch(() => {});
				assert.deepEqual(seen(socket, chat_id).sort(byId), truth.slice(from), `socket ${i}`);
			}
		}
		assert.deepEqual(sockets.map(socket => socket.count('resync')), sockets.map(() => 0));
	}

	// Ids of a chat's durable events, ascending.
	async truth(chat_id)
	{
		const rows = await this.sql(`SELECT m.id FROM chat.messages m WHERE m.chat_id = ${chat_id} AND m.kind = 'user'
			UNION SELECT e.id FROM chat.events e WHERE e.chat_id = ${chat_id} ORDER BY id`);
		return rows.split('\n').filter(Boolean);
	}

	// Two users, their direct chat, and a socket of each.
	async pair()
	{
		const alice = await this.user('alice');
		const bob = await this.user('bob');
		const a = await this.connect(alice);
		const b = await this.connect(bob);
		const chat = await a.call('open_direct_chat', { user_id: bob.id });
		return { alice, bob, a, b, chat_id: chat.id };
	}

	// Also fails on what a sanitizer said of a worker that was then replaced.
	async stop()
	{
		const status = await this.gateway.stop().finally(() => this.cluster('destroy'));
		const complaint = this.gateway.log.search(/\w+Sanitizer|runtime error:/);
		if (complaint >= 0)
			throw new Error(this.gateway.log.slice(complaint, complaint + 8000));
		if (status.code !== 0)
			throw new Error(`gateway exited with ${JSON.stringify(status)}\n${this.gateway.log.slice(-8000)}`);
	}
}
