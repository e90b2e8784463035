# Programs that wait for a FIFO, or look whether one has something, before they read.
mkfifo p q
read -t 0.2 line <> p
echo $(($? > 128)) "$line"
read -t 0 line <> p
echo $?
exec 3<> p 4<> q
(sleep 0.2; echo late >&3) &
read -t 60 line <&3
echo $? "$line"
echo there >&3
read -t 0 -u 3
echo $?
read -t 60 -N 5 -u 3 line
echo $? "$line"
trap 'echo handled' USR1
(sleep 0.2; kill -USR1 $$) &
SECONDS=0
read -t 60 line <&3
echo $(($? > 128)) $((SECONDS < 50))
wait
# A loop of events over two FIFOs and a pipe of the guest's own.
python3 - <<'P'
import os, select, selectors, threading, time
reader, writer = os.pipe()
events = selectors.PollSelector()
for name, fd in (('p', 3), ('q', 4), ('own', reader)):
    events.register(fd, selectors.EVENT_READ, name)
print(events.select(0.05))
turn = threading.Semaphore()
def write():
    for fd in (3, writer, 4, 3):
        turn.acquire()
        time.sleep(0.1)
        os.write(fd, b'x')
writers = threading.Thread(target=write)
writers.start()
for _ in range(4):
    for key, _ in events.select():
        print(key.data, os.read(key.fd, 1))
        turn.release()
writers.join()
print(select.select([3, 4], [3, 4, writer], [3], 60))
print(select.select([3, reader, 4], [], [], 0.05))
P
