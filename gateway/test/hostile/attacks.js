// SPDX-License-Identifier: PostgreSQL
// attacks.js: what one account, or one address, does to all others. A new attack is an entry of this table:
//
//   what      for people
//   run       async attacker => …: gets it under way, and returns; runs in a process of its own (attacker.js)
//   prepare   async (world, place) => what is added to `place`: before the measuring; as the database's owner if need be
//   late      prepare runs between the measuring without and that with the attack
//   users     accounts that the attacker has; else 1. All are members of the room in which the bystander writes
//   also      something more that the bystander does, of `acts` in bystander.js
//   heard     pushes a second to the bystander at most, where harm is done by what they are told
//
// `place` is described in hostile.js, what attackers can do in attacker.js.

import { randomBytes } from 'node:crypto';
import { sleep } from '../e2e/harness.js';

const HALF = 500; // ms; what is left out here comes back in that time

// So many characters of words that differ.
const words = (size, length = 6) => {
	let text = '';
	while (text.length < size)
		text += `${randomBytes(length).toString('base64').replace(/[^a-z]/gi, 'q').slice(0, length)} `;
	return text.slice(0, size);
};

// A user writes so many messages in a chat, by SQL. `body` is an expression of i.
const write = (world, user, chat_id, count, body, commit = 'COMMIT') => world.sql(`DO $$ BEGIN
	FOR i IN 1..${count} LOOP
		PERFORM chat.send_message(${user.id}, ${chat_id}, ${body});
		IF i % 500 = 0 THEN ${commit}; END IF;
	END LOOP; END $$`);

const inTheRoom = (count, body) => async (world, { users, room }) => {
	await write(world, users[0], room, count, body);
	return {};
};

// The room's last page is as large as pages get.
const largePage = inTheRoom(130, "repeat('€', 4096)");

const groupsOf = (world, { users: [user] }, count) => world.sql(`DO $$ BEGIN
	FOR i IN 1..${count} LOOP
		PERFORM chat.send_message(${user.id}, (chat.create_group(${user.id}, 'group ' || i)).id, 'x');
		IF i % 500 = 0 THEN COMMIT; END IF;
	END LOOP; END $$`);

// Slowly, and again and again until the end.
const trickle = async (attacker, socket, pause = HALF) => {
	while (attacker.going && !socket.destroyed)
	{
		socket.write('x');
		await sleep(pause);
	}
};

const erase = count => ({
	what: `delete_account with ${count.toLocaleString('en')} messages in a room, tried until it is done`,
	prepare: inTheRoom(count, "'hello ' || i"),
	run: attacker => attacker.flood({ depth: 1, call: socket => socket.call('delete_account') })
});

const search = (what, query) => ({
	what,
	prepare: inTheRoom(3000, "'hello a b c ' || i"),
	run: attacker => attacker.flood({ call: socket => socket.call('search_messages', { query }) })
});

export const attacks = {
	// Those of the review of 0.3.0.
	search: search('32 search_messages with a query of 60 kB in flight', words(60000)),
	search_word: search('the same with one word 30,000 times', 'a '.repeat(30000)),
	phrase: search('the same with a phrase of 30,000 words', `"${'a '.repeat(29999)}a"`),
	register: {
		what: 'register_user on 8 sockets',
		run: attacker => attacker.flood({ sockets: 8, depth: 1, user: null,
			call: socket => socket.call('register_user', { user_name: attacker.unique('puppet'), password: 'a good password', display_name: 'puppet' }) })
	},
	large: {
		what: '2,500 messages a second of more than 7,900 bytes',
		users: 4,
		run: async attacker => {
			const sockets = await Promise.all([...attacker.users, ...attacker.users].map(user => attacker.socket(user)));
			const { id: chat_id } = await sockets[0].call('create_group', { title: 'large', member_ids: attacker.users.slice(1).map(({ id }) => id) });
			const body = '€'.repeat(2700);
			attacker.pace(2500, i => sockets[i % 2 * 4].call('send_message', { chat_id, body }), 500);
		}
	},
	trickle: {
		what: '256 uploads that trickle',
		run: async attacker => {
			attacker.loops(256, async i => {
				await sleep(i * 2);
				const socket = attacker.raw(`POST /files?name=a&mime_type=text/plain HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${attacker.user.token}\r\nContent-Length: 1000000\r\n\r\n`, true);
				await trickle(attacker, socket);
			});
			await sleep(1000);
		}
	},
	erase: erase(15000),
	erase_more: erase(26000),
	index: {
		what: '12,000 messages of 4,096 characters, then indexed',
		late: true,
		prepare: async (world, { users: [user], room }) => {
			await world.sql(`CREATE TEMP TABLE body AS SELECT n, left(string_agg(md5((n * 1000 + i)::text), ' '), 4096) AS text
				FROM generate_series(1, 12000) n, generate_series(1, 125) i GROUP BY n;
				SELECT count(chat.send_message(${user.id}, ${room}, b.text)) FROM body b`);
			return {};
		},
		run: async () => {}
	},
	invite: {
		what: 'invite_user and cancel_connection in a loop, all to the bystander',
		heard: 20,
		run: attacker => attacker.flood({ depth: 8, call: async socket => {
			await attacker.counted(socket.call('invite_user', { user_id: attacker.me.id }));
			return socket.call('cancel_connection', { user_id: attacker.me.id });
		} })
	},
	groups: {
		what: 'groups made with the bystander, as many as go',
		heard: 20,
		run: attacker => attacker.flood({ depth: 8, call: socket => socket.call('create_group', { title: 'hello', member_ids: [attacker.me.id] }) })
	},
	passwords: {
		what: "wrong passwords for the bystander's name, 10 at once and 5 a second after that",
		also: 'change_password',
		run: async attacker => {
			const socket = await attacker.socket();
			const wrong = at => at.call('log_in', { user_name: attacker.me.name, password: 'not this one' });
			for (let i = 0; i < 10; i++)
				await attacker.counted(wrong(socket));
			attacker.pace(5, async () => {
				const next = await attacker.socket();
				return wrong(next).finally(() => next.close());
			});
		}
	},

	// Work for the database.
	own_password: {
		what: 'change_password on 8 sockets, to what it was',
		prepare: async world => ({ users: [await world.user('attacker')] }),
		run: attacker => attacker.flood({ sockets: 8, depth: 8,
			call: socket => socket.call('change_password', { old_password: attacker.user.password, new_password: attacker.user.password }) })
	},
	batches: {
		what: 'batches of 32 list_messages on 8 sockets',
		prepare: largePage,
		run: async attacker => {
			attacker.loops(8, async () => {
				const socket = await attacker.socket(attacker.user);
				for (let id = 1; attacker.going && !socket.ended; id += 33)
				{
					// The answers to a batch are one frame that belongs to no call; the ping is answered when the batch may have been.
					const batch = Array.from({ length: 32 }, (_, i) => ({ jsonrpc: '2.0', id: id * 100 + i, method: 'list_messages', params: { chat_id: attacker.room, page_size: 32 } }));
					socket.send(batch);
					await socket.call('list_messages', { chat_id: attacker.room, page_size: 1 });
					attacker.count('batches');
				}
			});
		}
	},
	pages: {
		what: 'list_messages of 128 messages of 12 kB on 8 sockets',
		prepare: largePage,
		run: attacker => attacker.flood({ sockets: 8, call: socket => socket.call('list_messages', { chat_id: attacker.room, page_size: 128 }) })
	},
	sync: {
		what: 'sync of 3,000 messages on 8 sockets',
		prepare: async (world, place) => {
			const since = await world.sql('SELECT chat.horizon()');
			await groupsOf(world, place, 3000);
			return { since };
		},
		run: attacker => attacker.flood({ sockets: 8, call: socket => socket.call('sync', { since: attacker.since, page_size: 1000 }) })
	},
	chats: {
		what: 'list_chats of 3,000 chats on 8 sockets',
		prepare: async (world, place) => {
			await groupsOf(world, place, 3000);
			return {};
		},
		run: attacker => attacker.flood({ sockets: 8, call: socket => socket.call('list_chats', { page_size: 128 }) })
	},
	mark_all: {
		what: 'mark_all_read with 3,000 chats on 4 sockets',
		prepare: async (world, place) => {
			await groupsOf(world, place, 3000);
			return {};
		},
		run: attacker => attacker.flood({ sockets: 4, depth: 8, call: socket => socket.call('mark_all_read') })
	},
	users: {
		what: 'search_users and get_users of 1,000 ids on 4 sockets',
		run: attacker => attacker.flood({ sockets: 4, call: async socket => {
			await attacker.counted(socket.call('search_users', { pattern: 'crowd', page_size: 128 }));
			return socket.call('get_users', { user_ids: attacker.crowd.map(({ id }) => id).slice(0, 1000) });
		} })
	},
	patterns: {
		what: 'search_users and search_rooms with a pattern of 60 kB on 4 sockets',
		run: attacker => {
			const pattern = words(60000);
			return attacker.flood({ sockets: 4, call: async socket => {
				await attacker.counted(socket.call('search_users', { pattern }));
				return socket.call('search_rooms', { pattern });
			} });
		}
	},
	delete_chat: {
		what: 'delete_chat of chats with 5,000 messages, one after the other',
		prepare: async (world, place) => {
			const ids = await world.sql(`SELECT (chat.create_group(${place.users[0].id}, 'group ' || i)).id FROM generate_series(1, 4) i`);
			for (const id of ids.split('\n'))
				await write(world, place.users[0], id, 5000, "'hello ' || i");
			return { groups: ids.split('\n') };
		},
		run: attacker => attacker.flood({ depth: 1, call: async socket => {
			const chat_id = attacker.groups.pop();
			return chat_id ? socket.call('delete_chat', { chat_id }) : sleep(HALF);
		} })
	},

	// Events for others.
	room: {
		what: 'send_message into the room of the bystander on 8 sockets',
		run: attacker => attacker.flood({ sockets: 8, call: socket => socket.call('send_message', { chat_id: attacker.room, body: 'spam' }) })
	},
	direct: {
		what: 'send_message to the bystander alone on 4 sockets',
		run: attacker => attacker.flood({ sockets: 4, call: socket => socket.call('send_direct_message', { user_id: attacker.me.id, body: 'spam' }) })
	},
	own_chat: {
		what: 'send_message into a chat of their own on 16 sockets',
		run: async attacker => {
			const socket = await attacker.socket(attacker.user);
			const { id: chat_id } = await socket.call('create_group', { title: 'own' });
			await attacker.flood({ sockets: 16, call: at => at.call('send_message', { chat_id, body: 'spam' }) });
		}
	},
	reactions: {
		what: 'add_reaction and remove_reaction in the room on 4 sockets',
		prepare: async (world, { users: [user], room }) => ({ message_id: await world.sql(`SELECT (chat.send_message(${user.id}, ${room}, 'x')).id`) }),
		run: attacker => attacker.flood({ sockets: 4, depth: 8, call: async socket => {
			const which = { chat_id: attacker.room, message_id: attacker.message_id, emoji: '👍' };
			await attacker.counted(socket.call('add_reaction', which));
			return socket.call('remove_reaction', which);
		} })
	},
	edits: {
		what: 'edit_message in the room, 4,096 characters each, on 4 sockets',
		prepare: async (world, { users: [user], room }) => ({ message_id: await world.sql(`SELECT (chat.send_message(${user.id}, ${room}, 'x')).id`) }),
		run: attacker => attacker.flood({ sockets: 4, depth: 8,
			call: socket => socket.call('edit_message', { chat_id: attacker.room, message_id: attacker.message_id, body: words(4096) }) })
	},
	comings: {
		what: 'join_room and leave_chat in a loop',
		run: attacker => attacker.flood({ sockets: 4, depth: 4, call: async socket => {
			await attacker.counted(socket.call('leave_chat', { chat_id: attacker.room }));
			return socket.call('join_room', { chat_id: attacker.room });
		} })
	},
	typing: {
		what: 'set_typing and send_signal in a direct chat with the bystander on 4 sockets',
		run: async attacker => {
			const socket = await attacker.socket(attacker.user);
			const { id: chat_id } = await socket.call('open_direct_chat', { user_id: attacker.me.id });
			await attacker.counted(socket.call('send_message', { chat_id, body: 'hello' }));
			let on = false;
			await attacker.flood({ sockets: 4, call: async at => {
				on = !on;
				await attacker.counted(at.call('set_typing', { chat_id, typing: on }));
				return at.call('send_signal', { chat_id, payload: { x: 'y'.repeat(2000) } });
			} });
		}
	},
	presence: {
		what: 'presence of 500 users watched on 100 sockets, while one of them changes theirs',
		run: async attacker => {
			const sockets = await Promise.all(Array.from({ length: 100 }, () => attacker.socket(attacker.user).catch(() => null)));
			const user_ids = [attacker.user.id, ...attacker.crowd.map(({ id }) => id)].slice(0, 500);
			attacker.loops(100, async i => sockets[i]?.call('watch_presence', { user_ids }) ?? sleep(HALF));
			await attacker.flood({ depth: 8, call: socket => socket.call('set_presence', { status: 'away', status_text: attacker.unique('x') }) });
		}
	},
	profile: {
		what: 'edit_profile with attributes of 16 kB on 4 sockets',
		run: attacker => attacker.flood({ sockets: 4, depth: 8,
			call: socket => socket.call('edit_profile', { attributes: { x: words(15000) } }) })
	},

	// Sockets, memory, bytes.
	sockets: {
		what: '2,000 sockets of one user, which stay',
		run: async attacker => {
			attacker.loops(50, async () => {
				if (attacker.sockets.size >= 2000)
					return sleep(HALF);
				const socket = await attacker.socket(attacker.user);
				return socket.call('get_profile');
			});
			await sleep(2000);
		}
	},
	half_open: {
		what: '2,000 connections that say half a request',
		run: async attacker => {
			for (let i = 0; i < 2000; i++)
				trickle(attacker, attacker.raw('GET /ws HTTP/1.1\r\nHost: x\r\nX-Y: ', true), 2000);
			await sleep(500);
		}
	},
	connects: {
		what: 'connections made and dropped on 64 loops, anonymous, with a bad token each',
		run: attacker => attacker.loops(64, async () => {
			const socket = await attacker.socket({ token: attacker.unique('nonsense') });
			return socket.closed;
		})
	},
	storm: {
		what: '32 sockets that come, have 3,000 events replayed, and go, again and again',
		prepare: async (world, place) => {
			const since = await world.sql('SELECT chat.horizon()');
			const groups = await world.sql(`SELECT (chat.create_group(${place.users[0].id}, 'group ' || i)).id FROM generate_series(1, 20) i`);
			for (const id of groups.split('\n'))
				await write(world, place.users[0], id, 150, "repeat('x', 1000)");
			return { since };
		},
		run: attacker => attacker.loops(32, async () => {
			const socket = await attacker.socket();
			const synced = new Promise(done => socket.pushes.push = ([method]) => method === 'synced' && done());
			await socket.call('authenticate', { token: attacker.user.token, since: attacker.since });
			await Promise.race([synced, socket.closed, sleep(15000)]);
			return socket.close();
		})
	},
	unread_pages: {
		what: '64 sockets that ask for large pages and read nothing',
		prepare: largePage,
		run: async attacker => {
			const key = 'dGhlIHNhbXBsZSBub25jZQ==';
			const frame = text => {
				const payload = Buffer.from(text);
				const head = payload.length < 126 ? Buffer.from([0x81, 0x80 | payload.length]) : Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 255]);
				return Buffer.concat([head, Buffer.alloc(4), payload]); // masked with zeros
			};
			for (let i = 0; i < 64; i++)
			{
				const socket = attacker.raw(`GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Key: ${key}\r\nAuthorization: Bearer ${attacker.user.token}\r\n\r\n`);
				await sleep(5);
				for (let id = 0; id < 32; id++)
					socket.write(frame(JSON.stringify({ jsonrpc: '2.0', id, method: 'list_messages', params: { chat_id: attacker.room, page_size: 128 } })));
			}
		}
	},
	unread_events: {
		what: '100 sockets in the room that read nothing, while it is written into',
		users: 2,
		run: async attacker => {
			const sockets = await Promise.all(Array.from({ length: 100 }, () => attacker.socket(attacker.users[1]).catch(() => null)));
			for (const socket of sockets)
				socket?.ws.pause();
			await attacker.flood({ depth: 8, call: socket => socket.call('send_message', { chat_id: attacker.room, body: 'x'.repeat(4096) }) });
		}
	},
	json: {
		what: 'requests of 60 kB with 4,500 members, and with 32 levels, on 8 sockets',
		run: attacker => {
			const wide = Object.fromEntries(Array.from({ length: 4500 }, (_, i) => [`m${i}`, i]));
			const deep = JSON.parse(`${'{"a":'.repeat(28)}{"b":[${'{},'.repeat(15000)}{}]}${'}'.repeat(28)}`);
			return attacker.flood({ sockets: 8, call: async socket => {
				await attacker.counted(socket.call('edit_profile', wide));
				await attacker.counted(socket.call('edit_profile', { attributes: wide }));
				return socket.call('edit_profile', { attributes: deep });
			} });
		}
	},
	frames: {
		what: 'pings, frames of 1 byte and empty messages on 16 sockets, as fast as they go',
		run: attacker => attacker.loops(16, async () => {
			const socket = await attacker.socket(attacker.user);
			while (attacker.going && !socket.ended)
			{
				for (let i = 0; i < 200; i++)
				{
					socket.ws.ping('x'.repeat(100));
					for (const [j, letter] of [...'{"jsonrpc":"2.0","id":1,"method":"ping"}'].entries())
						socket.ws.send(letter, { fin: j === 39 });
					attacker.count('messages in parts');
				}
				await Promise.race([socket.call('ping'), socket.closed]);
			}
		})
	},
	garbage: {
		what: 'messages that are no JSON, methods that do not exist, on 16 sockets',
		run: attacker => attacker.flood({ sockets: 16, call: async socket => {
			for (let i = 0; i < 50; i++)
				socket.send('[');
			await attacker.counted(socket.call('no_such_method'));
			return socket.call('get_profile', { no_such_parameter: 1 });
		} })
	},
	posts: {
		what: 'POST /rpc on 64 connections at a time, each made anew',
		run: attacker => attacker.loops(64, () => attacker.http('POST', '/rpc', {
			headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'list_chats' }) }))
	},
	streams: {
		what: '500 event streams of one user that read nothing, while they are written to',
		run: async attacker => {
			for (let i = 0; i < 500; i++)
				attacker.raw(`GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${attacker.user.token}\r\n\r\n`);
			await sleep(1000);
			await attacker.flood({ depth: 8, call: socket => socket.call('send_message', { chat_id: attacker.room, body: 'x'.repeat(4096) }) });
		}
	},
	uploads: {
		what: 'POST /files of small files on 64 connections at a time',
		run: attacker => attacker.loops(64, () => attacker.http('POST', '/files?name=a.txt&mime_type=text/plain', { body: 'x'.repeat(100) }))
	},
	downloads: {
		what: '256 downloads of 20 MB that read nothing, and 16 that read',
		run: async attacker => {
			let id;
			const asked = attacker.http('POST', '/files?name=a.bin&mime_type=application/octet-stream', { body: randomBytes(20 << 20) });
			await asked;
			const socket = await attacker.socket(attacker.user);
			({ rows: [{ id }] } = await socket.call('list_files'));
			for (let i = 0; i < 256; i++)
				attacker.raw(`GET /files/${id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${attacker.user.token}\r\n\r\n`);
			attacker.loops(16, () => attacker.http('GET', `/files/${id}`));
		}
	}
};
