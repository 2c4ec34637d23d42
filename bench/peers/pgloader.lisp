; How pgloader reads an instant of Prisma's: it knows seconds, and these are milliseconds since 1970.
(in-package :pgloader.transforms)

(defun milliseconds-to-timestamp (cell)
  (when cell
    (multiple-value-bind (seconds milliseconds)
        (floor (if (stringp cell) (parse-integer cell) cell) 1000)
      (format nil "~a.~3,'0d"
              (string-right-trim "Z" (unix-timestamp-to-timestamptz (format nil "~a" seconds)))
              milliseconds))))
